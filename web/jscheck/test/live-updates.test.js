import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Problem, request, streamURL } from "../../static/js/api.js";
import { parseEvent } from "../../static/js/feed.js";
import { relayChoice, relayTransport, setICEServers } from "../../static/js/ice.js";
import { grow } from "../../static/js/waiting-room.js";

const { fetch, Response } = globalThis;
let answer;

beforeEach(() => {
  globalThis.fetch = async () => answer();
});

afterEach(() => {
  globalThis.fetch = fetch;
});

test("parseEvent", () => {
  assert.deepEqual(parseEvent('event: stream\ndata: {"a":\ndata: 1}'), { name: "stream", data: '{"a":\n1}' });
  assert.deepEqual(parseEvent("data:x"), { name: "message", data: "x" });
  assert.equal(parseEvent(": ping"), undefined);
  assert.equal(parseEvent("retry: 2000"), undefined);
});

test("a refusal is a Problem with what the server says", async () => {
  const headers = { "Content-Type": "application/problem+json", "Retry-After": "5" };
  answer = () => new Response('{"detail":"full","code":"too-many-names"}', { status: 429, headers });
  const error = await request("https://live.example/").catch((thrown) => thrown);
  assert.ok(error instanceof Problem);
  const { status, message, retryAfter, code } = error;
  assert.deepEqual({ status, message, retryAfter, code }, {
    status: 429, message: "full", retryAfter: 5, code: "too-many-names",
  });
});

test("no answer is a Problem of status 0", async () => {
  answer = () => { throw new TypeError("unreachable"); };
  const { status, message } = await request("https://live.example/").catch((thrown) => thrown);
  assert.deepEqual([status, message], [0, "unreachable"]);
});

test("names are escaped in addresses", () => {
  assert.equal(streamURL("https://live.example", "a/b", "/keys"), "https://live.example/api/streams/a%2Fb/keys");
});

test("relays", () => {
  assert.equal(relayTransport("turns:r.example?transport=tcp"), "tls");
  assert.equal(relayTransport("turn:r.example?transport=tcp"), "tcp");
  assert.equal(relayTransport("TURN:r.example"), "udp");
  assert.equal(relayTransport("stun:r.example"), "");
  assert.deepEqual([null, "0", "", "1", "tls"].map(relayChoice), ["", "", "any", "any", "tls"]);
});

test("setICEServers keeps to the transport that is allowed", () => {
  const pc = { getConfiguration: () => ({}), setConfiguration(set) { this.set = set.iceServers; } };
  const servers = [{ urls: ["turn:r.example", "turns:r.example"], username: "u" }, { urls: "stun:r.example" }];
  setICEServers(pc, servers, "tls");
  assert.deepEqual(pc.set, [{ urls: ["turns:r.example"], username: "u" }]);
  setICEServers(pc, servers, "");
  assert.equal(pc.set.length, 2);
});

test("looks become less frequent", () => {
  for (let n = 0; n < 10; n++) {
    const most = Math.min(5000 * 2 ** n, 60000);
    assert.ok(grow(n) >= most / 2 && grow(n) <= most);
  }
});
