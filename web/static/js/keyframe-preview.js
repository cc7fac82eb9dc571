// @ts-check
// Pictures of live streams: the newest key frame as the server has it, decoded here (WebCodecs), so that the server
// decodes nothing.
import { request, streamURL } from "./api.js";

const together = 2; // decoders at a time, however many cards there are
let running = 0;
/** @type {(() => void)[]} */
const waiting = [];

export const canDecode = () => "VideoDecoder" in globalThis;

/**
 * turn does the work when one of the decoders is free.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function turn(work) {
  if (running >= together) await new Promise((/** @type {(value: void) => void} */ resolve) => waiting.push(resolve));
  running++;
  try {
    return await work();
  } finally {
    running--;
    waiting.shift()?.();
  }
}

/**
 * drawKeyframe draws the stream's newest key frame. It returns a tag of the picture, or undefined when there is none
 * that can be drawn.
 * @param {HTMLCanvasElement} canvas
 * @param {string} name of the stream
 * @param {string} [tag] what it returned the last time: a frame that is still the newest is not decoded again
 * @returns {Promise<string | undefined>}
 */
export function drawKeyframe(canvas, name, tag) {
  return turn(async () => {
    try {
      const response = await request(streamURL(location.origin, name, "/keyframe"), { cache: "no-cache" });
      const next = response.headers.get("ETag") ?? "";
      const bytes = await response.arrayBuffer();
      if (next && next === tag) return tag;
      const type = response.headers.get("Content-Type") ?? "";
      const codec = response.headers.get("X-Siaran-Codec") || /codecs="?([^";]+)/.exec(type)?.[1];
      const frame = await decode(codec ?? "", bytes);
      paint(canvas, frame);
      frame.close();
      return next || "untagged";
    } catch {
      return undefined;
    }
  });
}

/**
 * decode gives the one picture of a key frame, which the caller closes.
 * @param {string} codec as in RFC 6381
 * @param {ArrayBuffer} data
 * @returns {Promise<VideoFrame>}
 */
async function decode(codec, data) {
  /** @type {VideoFrame[]} */
  const frames = [];
  /** @type {PromiseWithResolvers<never>} */
  const { promise: failed, reject } = Promise.withResolvers();
  const decoder = new VideoDecoder({ output: (picture) => frames.push(picture), error: reject });
  try {
    decoder.configure({ codec, optimizeForLatency: true });
    decoder.decode(new EncodedVideoChunk({ type: "key", timestamp: 0, data }));
    await Promise.race([decoder.flush(), failed]);
    const frame = frames.pop();
    if (!frame) throw new Error("no picture came out");
    return frame;
  } finally {
    for (const frame of frames) frame.close();
    if (decoder.state !== "closed") decoder.close();
  }
}

/**
 * paint fills the canvas with the middle of the picture; one that is far from 16:9 is shown whole on a dark ground.
 * @param {HTMLCanvasElement} canvas
 * @param {VideoFrame} frame
 */
function paint(canvas, frame) {
  const g = canvas.getContext("2d");
  if (!g) return;
  const { displayWidth: w, displayHeight: h } = frame;
  const fill = Math.max(canvas.width / w, canvas.height / h);
  const fit = Math.min(canvas.width / w, canvas.height / h);
  const scale = fill / fit > 1.5 ? fit : fill;
  g.fillStyle = "#0b0d14";
  g.fillRect(0, 0, canvas.width, canvas.height);
  g.imageSmoothingQuality = "high";
  g.drawImage(frame, (canvas.width - w * scale) / 2, (canvas.height - h * scale) / 2, w * scale, h * scale);
}
