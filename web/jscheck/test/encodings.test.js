import assert from "node:assert/strict";
import { test } from "node:test";
import { addVideo, adjust, encodingsOf } from "../../static/js/encodings.js";

const trackOf = (width, height, contentHint = "motion") => ({ contentHint, getSettings: () => ({ width, height }) });
const scales = (track, layered = true) =>
  encodingsOf(track, { bitrate: 1_600_000, layered }).map((each) => each.scaleResolutionDownBy);

test("large pictures go out in three sizes, small ones in one", () => {
  assert.deepEqual(scales(trackOf(1280, 720)), [4, 2, 1]);
  assert.deepEqual(scales(trackOf(720, 1280)), [4, 2, 1]);
  assert.deepEqual(scales(trackOf(854, 480)), [2, 1]);
  assert.deepEqual(scales(trackOf(320, 240)), [1]);
  assert.deepEqual(scales(trackOf(1920, 1080, "detail")), [2, 1]);
  assert.deepEqual(scales(trackOf(1920, 1080), false), [1]);
  assert.deepEqual(scales({ contentHint: "", getSettings: () => ({}) }), [1]);
});

test("each size has its share of the bits", () => {
  const rates = encodingsOf(trackOf(1280, 720), { bitrate: 1_600_000, layered: true }).map((each) => each.maxBitrate);
  assert.deepEqual(rates, [100_000, 400_000, 1_600_000]);
});

test("what is sent adapts to another picture with the encodings there are", () => {
  const parameters = () => ({ encodings: [{ rid: "l" }, { rid: "m" }, { rid: "h" }] });
  const small = parameters();
  adjust(small, trackOf(640, 480), { bitrate: 1_600_000, layered: true });
  assert.deepEqual(small.encodings.map(({ active }) => active), [true, true, false]);
  assert.deepEqual(small.encodings.slice(0, 2).map((each) => each.scaleResolutionDownBy), [2, 1]);
  const one = parameters();
  adjust(one, trackOf(1280, 720), { bitrate: 1_600_000, layered: false });
  assert.deepEqual(one.encodings.map(({ active }) => active), [true, false, false]);
  const two = { encodings: [{ rid: "m" }, { rid: "h" }] };
  adjust(two, trackOf(1280, 720), { bitrate: 1_600_000, layered: true });
  assert.deepEqual(two.encodings.map((each) => each.scaleResolutionDownBy), [2, 1]);
  const single = { encodings: [{}] };
  adjust(single, trackOf(1280, 720, "detail"), { bitrate: 1_600_000, layered: true });
  assert.deepEqual(single.encodings, [{ active: true, maxBitrate: 1_600_000 }]);
  assert.equal(single.degradationPreference, "maintain-resolution");
});

test("a browser that refuses layers sends one picture", async () => {
  const asked = [];
  const pc = {
    addTransceiver(_track, { sendEncodings }) {
      asked.push(sendEncodings.length);
      if (sendEncodings.length > 1) throw new Error("no");
      return {};
    },
  };
  await addVideo(pc, trackOf(1280, 720), {}, { bitrate: 1_600_000, layered: true });
  assert.deepEqual(asked, [3, 3, 1]);
});
