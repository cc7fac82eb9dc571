import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { bitrate, clock, codecs, list, number, percent, since, size, viewers } from "../../static/js/format.js";
import { setLanguage } from "../../static/js/i18n.js";

afterEach(() => setLanguage("en"));

test("clock", () => {
  for (const [seconds, want] of [[-3, "0:00"], [9.9, "0:09"], [60, "1:00"], [3599, "59:59"], [3600, "1:00:00"]]) {
    assert.equal(clock(seconds), want);
  }
});

test("since is empty without a time", () => {
  assert.equal(since(null), "");
  assert.equal(since("nonsense"), "");
  assert.match(since(new Date(Date.now() - 61_000).toISOString()), /^1:0\d$/);
});

test("numbers follow the language", () => {
  assert.equal(number(1234.5, 1), "1,234.5");
  assert.equal(bitrate(2_500_000), "2.5 Mbit/s");
  assert.equal(viewers(1200), "1,200 watching");
  setLanguage("id");
  assert.equal(number(1234.5, 1), "1.234,5");
  assert.equal(bitrate(2_500_000), "2,5 Mbit/s");
  assert.equal(viewers(1200), "1.200 menonton");
});

test("small shares have a digit more", () => {
  assert.deepEqual([0, 0.004, 0.04, 0.4].map(percent), ["0 %", "0.4 %", "4.0 %", "40 %"]);
});

test("what is not known is empty", () => {
  assert.equal(size({ width: 0, height: 0 }), "");
  assert.equal(size(null), "");
  assert.equal(codecs("H264", undefined, "OPUS"), "H.264 + Opus");
});

test("list", () => {
  assert.equal(list(["UDP", "TCP", "TLS"]), "UDP, TCP and TLS");
});
