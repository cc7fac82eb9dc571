// Runs the Auth emulator of the Firebase CLI on a free port, which it prints, until its standard input ends.
const http = require("node:http");
const { createApp } = require("firebase-tools/lib/emulator/auth/server");

createApp(process.argv[2]).then((app) => {
  const server = http.createServer((request, response) => {
    response.setHeader("Connection", "close"); // so that no client is left with a connection that nobody uses
    app(request, response);
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
  process.stdin.on("end", () => process.exit()).resume();
});
