import assert from "node:assert/strict";
import { test } from "node:test";
import {
  fragment, iceCredentials, iceServers, repairedOpus, restarted, startBitrate, stereoOpus,
} from "../../static/js/sdp.js";

const crlf = (...lines) => `${lines.join("\r\n")}\r\n`;

test("stereoOpus asks for stereo once, for Opus alone", () => {
  const offer = crlf(
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 9",
    "a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;stereo=0;useinbandfec=1",
    "a=rtpmap:9 G722/8000", "a=fmtp:9 a=b",
  );
  const edited = stereoOpus(offer, ";maxaveragebitrate=128000");
  const want = "a=fmtp:111 minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1;maxaveragebitrate=128000\r\n";
  assert.ok(edited.includes(want), edited);
  assert.ok(edited.includes("a=fmtp:9 a=b\r\n"));
  assert.equal(stereoOpus(edited, ";maxaveragebitrate=128000").match(/stereo=1/g).length, 2);
});

test("repairedOpus offers repair once, for Opus alone", () => {
  const offer = crlf(
    "m=audio 9 X 111 9", "a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc", "a=rtpmap:9 G722/8000",
  );
  const edited = repairedOpus(offer);
  assert.deepEqual(edited.match(/a=rtcp-fb:.*/g), ["a=rtcp-fb:111 nack", "a=rtcp-fb:111 transport-cc"]);
  assert.equal(repairedOpus(edited), edited);
  assert.ok(edited.startsWith("m=audio 9 X 111 9\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack\r\n"), edited);
});

test("iceCredentials are those of the first section", () => {
  const offer = crlf("v=0", "m=audio 9 X 111", "a=ice-ufrag:u", "a=ice-pwd:p", "a=mid:0", "m=video 9 X 96", "a=mid:1");
  assert.deepEqual(iceCredentials(offer), { ufrag: "u", password: "p", mid: "0", media: "m=audio 9 X 111" });
});

test("restarted has the credentials and candidates of the fragment, where the old ones were", () => {
  const answer = crlf(
    "v=0", "a=ice-lite",
    "m=audio 9 X 111", "a=ice-ufrag:u", "a=ice-pwd:p", "a=candidate:1 old", "a=end-of-candidates", "a=mid:0",
    "m=video 9 X 96", "a=mid:1", "a=ice-ufrag:u", "a=ice-pwd:p",
  );
  const fragment = crlf("a=ice-lite", "m=audio 9 X 0", "a=ice-ufrag:$1", "a=ice-pwd:q$&", "a=candidate:1 new",
    "a=end-of-candidates");
  assert.equal(restarted(answer, fragment), crlf(
    "v=0", "a=ice-lite",
    "m=audio 9 X 111", "a=ice-ufrag:$1", "a=ice-pwd:q$&", "a=candidate:1 new", "a=end-of-candidates", "a=mid:0",
    "m=video 9 X 96", "a=mid:1", "a=ice-ufrag:$1", "a=ice-pwd:q$&",
  ));
});

test("fragment has candidates, and their end when there are no more", () => {
  const offer = crlf("m=audio 9 X 111", "a=ice-ufrag:u", "a=ice-pwd:p", "a=mid:0");
  const head = crlf("a=ice-ufrag:u", "a=ice-pwd:p", "m=audio 9 X 111", "a=mid:0");
  assert.equal(fragment(offer, ["candidate:1", "a=candidate:2"], false), head + crlf("a=candidate:1", "a=candidate:2"));
  assert.equal(fragment(offer, [], true), head + crlf("a=end-of-candidates"));
});

test("iceServers reads Link headers, which may be joined", () => {
  const link = '<stun:a.example>; rel="ice-server", <turns:b.example?transport=tcp>; rel="ice-server"; username="u"; ' +
    'credential="c"; credential-type="password", <https://c.example>; rel="next"';
  assert.deepEqual(iceServers(link), [
    { urls: "stun:a.example" }, { urls: "turns:b.example?transport=tcp", username: "u", credential: "c" },
  ]);
  assert.deepEqual(iceServers(null), []);
});

test("startBitrate is for the first codec of the video section", () => {
  const parameter = "x-google-start-bitrate=1200";
  const audio = crlf("m=audio 9 X 111", "a=rtpmap:111 opus/48000/2");
  const withFormat = crlf("m=video 9 X 96", "a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1");
  const without = crlf("m=video 9 X 97 96", "a=rtpmap:97 rtx/90000", "a=rtpmap:96 VP8/90000");
  assert.ok(startBitrate(audio + withFormat, 1200).endsWith(`a=fmtp:96 packetization-mode=1;${parameter}\r\n`));
  assert.ok(startBitrate(audio + without, 1200).endsWith(`a=rtpmap:96 VP8/90000\r\na=fmtp:96 ${parameter}\r\n`));
  assert.equal(startBitrate(audio, 1200), audio);
});
