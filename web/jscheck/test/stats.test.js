import assert from "node:assert/strict";
import { test } from "node:test";
import { flows, inbound, outbound, Rates } from "../../static/js/stats.js";

const reports = (...list) => new Map(list.map((report) => [report.id, report]));
const codec = { id: "c", type: "codec", mimeType: "video/H264" };
const transport = { id: "t", type: "transport", selectedCandidatePairId: "p" };
const pair = { id: "p", type: "candidate-pair", localCandidateId: "l", currentRoundTripTime: 0.04 };

test("inbound makes rates of two looks", () => {
  const rates = new Rates();
  const local = { id: "l", type: "local-candidate", candidateType: "host", protocol: "udp" };
  const video = (timestamp, bytesReceived, framesDecoded, packetsReceived, packetsLost) => ({
    id: "v", type: "inbound-rtp", kind: "video", codecId: "c", timestamp, bytesReceived, framesDecoded,
    packetsReceived, packetsLost, frameWidth: 1280, frameHeight: 720,
  });
  inbound(reports(codec, transport, pair, local, video(1000, 0, 0, 0, 0)), rates);
  const got = inbound(reports(codec, transport, pair, local, video(3000, 500_000, 60, 99, 1)), rates);
  assert.equal(got.bitrate, 2_000_000);
  assert.equal(got.fps, 30);
  assert.equal(got.loss, 0.01);
  assert.deepEqual(got.codecs, ["H264"]);
  assert.deepEqual(got.path, { relayed: false, transport: "udp" });
  assert.ok(Math.abs(got.latency - 0.036) < 1e-9);
});

test("a reflexive candidate may be relayed", () => {
  const local = { id: "l", type: "local-candidate", candidateType: "prflx", protocol: "udp", relayProtocol: "tls" };
  assert.deepEqual(inbound(reports(transport, pair, local), new Rates()).path, { relayed: true, transport: "tls" });
});

test("Firefox marks the pair itself", () => {
  const local = { id: "l", type: "local-candidate", candidateType: "host", protocol: "tcp" };
  const got = inbound(reports({ ...pair, nominated: true, state: "succeeded" }, local), new Rates());
  assert.deepEqual(got.path, { relayed: false, transport: "tcp" });
});

test("outbound takes the largest layer for the picture, and the loss of the video", () => {
  const layer = (id, frameWidth) => ({ id, type: "outbound-rtp", kind: "video", timestamp: 1, frameWidth });
  const lost = (id, kind, fractionLost) => ({ id, type: "remote-inbound-rtp", kind, fractionLost, roundTripTime: 0.1 });
  const got = outbound(reports(
    layer("h", 1280), layer("l", 320), lost("a", "audio", 0.5), lost("b", "video", 0.02),
  ), new Rates());
  assert.equal(got.width, 1280);
  assert.equal(got.loss, 0.02);
  assert.equal(got.rtt, 0.1);
});

test("flows sums up by kind", () => {
  const in1 = { id: "1", type: "inbound-rtp", kind: "video", packetsReceived: 2, framesDecoded: 1 };
  const in2 = { id: "2", type: "inbound-rtp", kind: "video", packetsReceived: 3 };
  assert.deepEqual([...flows(reports(in1, in2))], [["video", { packets: 5, frames: 1 }]]);
});
