import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { MediaArrival } from "../../static/js/media-arrival.js";

const { MediaStream } = globalThis;

afterEach(() => {
  globalThis.MediaStream = MediaStream;
});

// A connection that has agreed on these kinds, and what is done with its video element.
function arrivalOf(...kinds) {
  const played = [];
  const video = {};
  globalThis.MediaStream = class {
    constructor(tracks) {
      played.push(tracks.map(({ kind }) => kind).join("+"));
    }
  };
  const getTransceivers = () => kinds.map((kind) => ({ currentDirection: "recvonly", receiver: { track: { kind } } }));
  return { arrival: new MediaArrival({ getTransceivers }, video, async () => {}), played };
}

const inbound = (counts) => new Map(Object.entries(counts).map(([kind, [packetsReceived, framesDecoded]]) =>
  [kind, { id: kind, type: "inbound-rtp", kind, packetsReceived, framesDecoded }]));

test("sound is played alone when no picture comes, and with it when one does", () => {
  const { arrival, played } = arrivalOf("audio", "video");
  assert.equal(arrival.leader.kind, "video");
  assert.equal(arrival.look(inbound({ audio: [5] }), { now: 1000 }), false);
  assert.equal(arrival.look(inbound({ audio: [50] }), { now: 3000 }), true);
  assert.deepEqual(arrival.missing, { video: "none" });
  arrival.show("audio");
  assert.equal(arrival.alone, true);
  arrival.look(inbound({ audio: [90], video: [10, 1] }), { now: 4000 });
  assert.equal(arrival.alone, false);
  assert.deepEqual(played, ["audio", "audio+video"]);
  assert.deepEqual(arrival.missing, {});
});

test("packets that hold no picture leave it unseen", () => {
  const { arrival } = arrivalOf("audio", "video");
  arrival.look(inbound({ audio: [5], video: [5, 0] }), { now: 1000 });
  assert.deepEqual(arrival.missing, {});
  assert.equal(arrival.look(inbound({ audio: [50], video: [50, 0] }), { now: 4500 }), true);
  assert.deepEqual(arrival.missing, { video: "unseen" });
});

test("a track without new packets has stopped, which is told once", () => {
  const { arrival } = arrivalOf("audio", "video");
  let changes = 0;
  arrival.addEventListener("change", () => changes++);
  for (let i = 1; i <= 12; i++) arrival.look(inbound({ audio: [50], video: [10 * i, i] }), { now: i * 1000 });
  assert.deepEqual(arrival.missing, { audio: "stopped" });
  assert.equal(changes, 1);
});

test("silence means nothing while nobody sends", () => {
  const { arrival } = arrivalOf("audio");
  for (let i = 1; i <= 12; i++) arrival.look(inbound({ audio: [50] }), { now: i * 1000, quiet: i > 2 });
  assert.deepEqual(arrival.missing, {});
});
