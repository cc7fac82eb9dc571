import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../../static/js/api.js";
import { arrivalLines } from "../../static/js/studio/arrival.js";
import { CaptureError, loudness } from "../../static/js/studio/capture.js";
import { Health } from "../../static/js/studio/health.js";
import { shortened, watchLink } from "../../static/js/studio/links.js";
import { isName, noMicrophone, StudioModel, tidyName } from "../../static/js/studio/model.js";
import { refusalInWords } from "../../static/js/studio/refusals.js";
import { Steps } from "../../static/js/studio/steps.js";

const device = (deviceId) => ({ deviceId, label: "" });

test("names", () => {
  for (const name of ["a", "9-_", "a".repeat(64)]) assert.ok(isName(name), name);
  for (const name of ["", "-a", "A", "a b", "a".repeat(65), "é"]) assert.ok(!isName(name), name);
  assert.equal(tidyName("Kopi  Sore"), "kopi-sore");
});

test("a token for one stream fixes the name, one for all leaves it", () => {
  const model = new StudioModel();
  assert.equal(model.enter(undefined), false);
  assert.equal(model.state.open, false);
  assert.equal(model.enter({ stream: "*", scopes: ["publish"] }), false);
  assert.match(model.name, /^live-/);
  const { name } = model;
  model.enter({ stream: "*", scopes: ["publish"] });
  assert.equal(model.name, name);
  assert.equal(model.enter({ stream: "cats", scopes: ["publish"] }), true);
  assert.equal(model.name, "cats");
  assert.equal(model.state.nameFixed, true);
});

test("a device that has gone is replaced by the first", () => {
  const model = new StudioModel();
  model.listed([device("a"), device("b")], [device("m")]);
  assert.deepEqual([model.state.camera, model.state.microphone], ["a", "m"]);
  model.set({ camera: "b", microphone: noMicrophone });
  model.listed([device("a"), device("b")], []);
  assert.deepEqual([model.state.camera, model.state.microphone], ["b", noMicrophone]);
  model.listed([], []);
  assert.equal(model.state.camera, "");
});

test("each change is announced", () => {
  const model = new StudioModel();
  let changes = 0;
  model.addEventListener("change", () => changes++);
  model.set({ broadcast: "live" });
  model.say({ kind: "bad", text: () => "x" }, { retryAt: 5 });
  assert.equal(changes, 2);
  assert.equal(model.onAir, true);
  assert.equal(model.state.retryAt, 5);
  model.say(undefined);
  assert.equal(model.state.retryAt, undefined);
});

const tokenOf = (body) => `x.${Buffer.from(JSON.stringify(body)).toString("base64url")}.y`;

test("a stream is deleted by its owner, or with an administrator's key, while it is not live", () => {
  const model = new StudioModel();
  model.set({ name: "cats", token: tokenOf({ sub: "*", scope: "publish" }), storedName: "cats" });
  assert.equal(model.mayDelete, false);
  model.set({ ownNames: ["cats"] });
  assert.equal(model.mayDelete, true);
  model.set({ broadcast: "live" });
  assert.equal(model.mayDelete, false);
  model.set({ broadcast: "idle", ownNames: [], token: tokenOf({ sub: "*", scope: "admin" }) });
  assert.equal(model.mayDelete, true);
  model.set({ name: "dogs" });
  assert.equal(model.mayDelete, false);
  model.set({ name: "cats", token: tokenOf({ sub: "cats", scope: "admin" }) });
  assert.equal(model.mayDelete, false);
});

test("links", () => {
  assert.equal(watchLink("https://live.example", "cats"), "https://live.example/watch/cats");
  const secret = watchLink("https://live.example", "cats", "abcdefghij");
  assert.equal(secret, "https://live.example/watch/cats#token=abcdefghij");
  assert.equal(shortened(secret), "https://live.example/watch/cats#token=abcdef…");
});

test("steps", () => {
  const steps = new Steps();
  steps.begin("peer");
  steps.fail("broken");
  assert.equal(steps.get("peer").state, "failed");
  assert.equal(steps.get("peer").error, "broken");
  steps.begin("peer");
  steps.done("peer");
  assert.ok(steps.get("peer").took >= 0);
  steps.done("offer");
  assert.equal(steps.get("offer").took, undefined);
  steps.reset("offer");
  assert.equal(steps.get("peer").state, "done");
  assert.equal(steps.get("offer").state, "open");
});

test("refusals", () => {
  const words = (status, more) => refusalInWords({ problem: new Problem(status, "odd", undefined, more) });
  assert.match(words(403), /token is not valid/);
  assert.match(words(403, "not-owner"), /another account/);
  assert.match(words(409), /live already/);
  assert.match(words(500), /odd/);
  assert.match(refusalInWords({ stage: "ended", problem: new Problem(-1, "x") }), /elsewhere/);
  const blocked = { problem: new Problem(-1, "timeout"), cause: "blocked", tried: ["udp", "relay-tls"] };
  assert.match(refusalInWords(blocked), /directly \(UDP\) and relay over TLS/);
});

test("health waits before it complains", () => {
  const health = new Health();
  const stats = (more) => ({ bitrate: 0, loss: 0, codecs: [], sent: { audio: 9, video: 9 }, ...more });
  for (let i = 0; i < 5; i++) health.look(stats({ sent: { audio: 9, video: 0 } }));
  assert.deepEqual(health.lines(), []);
  health.look(stats({ sent: { audio: 9, video: 0 } }));
  assert.match(health.lines()[0], /no picture/);
  for (let i = 0; i < 13; i++) health.look(stats({ limited: "cpu", loss: 0.05 }));
  assert.equal(health.lines().length, 2);
  assert.match(health.lines()[1], /5\.0 %/);
  health.look(stats({ limited: "none" }));
  for (let i = 0; i < 13; i++) health.look(stats({ limited: "bandwidth", available: 900_000 }));
  assert.match(health.lines()[0], /only about 900 kbit\/s/);
  for (let i = 0; i < 13; i++) health.look(stats({ limited: "bandwidth" }));
  assert.match(health.lines()[0], /too slow for this quality/);
  health.look(stats({ limited: "none" }));
  health.heard([{ code: "keyframes", text: "k" }, { code: "new", text: "in English" }, { code: "silent", text: "s" }]);
  assert.deepEqual(health.lines().slice(0, 1), ["in English"]);
  assert.equal(health.lines().length, 2);
});

test("what arrives is said layer by layer", () => {
  const picture = {
    kind: "video", codec: "H264", profile: "High", level: "4.1", width: 1280, height: 720, bitrate: 2_500_000,
    frameRate: 29.97, packets: 9, keyframeInterval: 2, lossPercent: 0, repairedPercent: 0.4, queue: 0.25,
  };
  const sound = {
    kind: "audio", codec: "OPUS", bitrate: 96_000, packets: 9, lossPercent: 2, repairedPercent: 0, queue: 0,
  };
  const lines = arrivalLines([picture, sound, { ...sound, packets: 0 }]);
  assert.deepEqual(lines, [
    "Picture: H.264 High 4.1 · 1280 × 720 · 30 frames a second · 2.5 Mbit/s · key frame every 2.0 s · " +
      "0.4 % lost and sent again · waits 250 ms on the way",
    "Sound: Opus · 96 kbit/s · 2.0 % lost",
  ]);
  assert.deepEqual(arrivalLines(), []);
});

test("faults of devices", () => {
  const fault = (name, source) => CaptureError.from(Object.assign(new Error("x"), { name }), source).fault;
  assert.equal(fault("NotAllowedError", "camera"), "denied");
  assert.equal(fault("NotAllowedError", "screen"), "cancelled");
  assert.equal(fault("NotReadableError", "camera"), "busy");
  assert.equal(fault("OddError", "camera"), "failed");
});

test("loudness is between silence and too loud", () => {
  assert.equal(loudness([0, 0]), 0);
  assert.equal(loudness([1, -1]), 1);
  assert.ok(loudness([0.1, -0.1]) > 0.5 && loudness([0.1, -0.1]) < 1);
});
