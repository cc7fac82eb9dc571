// Prints what followLive of example.js shows, a line of JSON for each change, until standard input ends.
import { followLive } from "./example.js";
import { client, useRules } from "./emulator.js";

const project = process.argv[2];
await useRules(project);
const { db, close } = client(project);
const stop = followLive(
  db,
  (streams) => {
    const shown = streams.map(({ name, title, node, viewers }) => ({ name, title, node, viewers }));
    console.log(JSON.stringify(shown));
  },
  (err) => {
    console.error(err);
    process.exit(1);
  },
);
process.stdin.resume().on("end", async () => {
  stop();
  await close();
});
