import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionTrace, fullReport } from "../../static/js/connection-trace.js";

// connection is an RTCPeerConnection as a trace sees it.
function connection({ urls = [], onlyRelay = false, answer = "", stats = [] } = {}) {
  return Object.assign(new EventTarget(), {
    iceConnectionState: "new", connectionState: "new", remoteDescription: { sdp: answer },
    getConfiguration: () => ({ iceServers: [{ urls }], iceTransportPolicy: onlyRelay ? "relay" : "all" }),
    getStats: async () => new Map(stats.map((report) => [report.id, report])),
  });
}

const relays = ["turn:r.example?transport=udp", "turn:r.example?transport=tcp", "turns:r.example?transport=tcp"];
const event = (type, values) => Object.assign(new Event(type), values);
const failed = (url, errorCode) => event("icecandidateerror", { url, errorCode, errorText: "no" });
const gathered = (candidate) => event("icecandidate", { candidate: { candidate: "candidate:1", ...candidate } });
const tcpAnswer = "a=candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype passive\r\n";

test("what stopped a connection while connecting", () => {
  const cases = [
    { want: { cause: "norelay", tried: ["udp"] } },
    { answer: tcpAnswer, want: { cause: "norelay", tried: ["udp", "tcp"] } },
    { onlyRelay: true, want: { cause: "relayless", tried: [] } },
    { urls: relays, want: { cause: "blocked", tried: ["udp", "relay-udp", "relay-tcp", "relay-tls"] } },
    {
      urls: relays.slice(0, 1), events: [failed(relays[0], 701), failed(relays[0], 508)],
      want: { cause: "refused", tried: ["udp", "relay-udp"], code: 508 },
    },
    {
      urls: relays.slice(0, 1), events: [failed(relays[0], 701)],
      want: { cause: "blocked", tried: ["udp", "relay-udp"] },
    },
    {
      urls: relays.slice(0, 2),
      events: [failed(relays[1], 508), gathered({ type: "relay", protocol: "udp", relayProtocol: "udp" })],
      want: { cause: "blocked", tried: ["udp", "relay-udp", "relay-tcp"] },
    },
  ];
  for (const { want, events = [], ...options } of cases) {
    const pc = connection(options);
    const trace = new ConnectionTrace(pc);
    for (const each of events) pc.dispatchEvent(each);
    assert.deepEqual(trace.verdict("connect"), want);
  }
});

test("later stages name themselves", () => {
  const trace = new ConnectionTrace(connection());
  assert.equal(trace.verdict("secure").cause, "dtls");
  assert.equal(trace.verdict("media").cause, "media");
  assert.equal(trace.verdict("decode").cause, "decode");
});

test("a closed Firefox connection says nothing", () => {
  const pc = connection();
  pc.getConfiguration = () => { throw new Error("closed"); };
  assert.deepEqual(new ConnectionTrace(pc).verdict("connect"), { cause: "norelay", tried: ["udp"] });
});

test("the report has kinds and counts, and no address of anyone", async () => {
  const answer = `a=candidate:1 1 UDP 1 192.0.2.1 9 typ host\r\n${tcpAnswer}`;
  const pc = connection({
    urls: relays.slice(0, 1), answer,
    stats: [
      { id: "l", type: "local-candidate", candidateType: "host", protocol: "udp", address: "198.51.100.7" },
      { id: "r", type: "remote-candidate", candidateType: "host", address: "192.0.2.1" },
      {
        id: "p", type: "candidate-pair", localCandidateId: "l", remoteCandidateId: "r", state: "failed",
        requestsSent: 5, responsesReceived: 0,
      },
      { id: "v", type: "inbound-rtp", kind: "video", packetsReceived: 7, framesDecoded: 0 },
    ],
  });
  const trace = new ConnectionTrace(pc);
  trace.mark("offer");
  pc.dispatchEvent(gathered({ type: "host", protocol: "udp" }));
  pc.dispatchEvent(gathered({ type: "host", protocol: "udp" }));
  const text = (await trace.report()).join("\n");
  for (const want of [
    "ours     host udp x2", "theirs   host udp x1, host tcp x1", `relay    ${relays[0]}: no answer`,
    "pair     host udp to host: failed, 5 checks, 0 answers", "received video: 7 packets, 0 frames decoded",
  ]) assert.ok(text.includes(want), text);
  assert.ok(trace.reached("offer"));
  assert.doesNotMatch(text, /192\.0\.2|198\.51\.100/);
});

test("the head of a report", () => {
  const text = fullReport({
    what: "dtls", stage: "secure", problem: { status: 503, message: "full" }, server: "https://live.example/x",
    stream: "cats", attempt: 3, lines: ["a"],
  });
  assert.match(text, /^Siaran: dtls\ntime {5}\S+, attempt 3\nwhere {4}cats at live\.example\n/);
  assert.match(text, /\nstage {4}secure, HTTP 503, full\na\nbrowser {2}/);
});
