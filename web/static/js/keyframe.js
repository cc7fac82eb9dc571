// Pictures of live streams: the newest key frame as the server has it, decoded here (WebCodecs), so the server decodes nothing.
import { request, streamURL } from "./api.js";

const together = 2; // decoders at a time, however many cards there are
let running = 0;
const waiting = [];

export const canDecode = () => "VideoDecoder" in globalThis;

async function turn(work) {
  if (running >= together) await new Promise((resolve) => waiting.push(resolve));
  running++;
  try {
    return await work();
  } finally {
    running--;
    waiting.shift()?.();
  }
}

// drawKeyframe draws the stream's newest key frame and tells whether there was one that could be drawn.
// tag is what it returned the time before: a frame that is still the newest is not decoded again.
export function drawKeyframe(canvas, name, { tag, signal, server = location.origin, token } = {}) {
  return turn(async () => {
    try {
      const response = await request(streamURL(server, name, "/keyframe"), { token, signal, cache: "no-cache" });
      const next = response.headers.get("ETag") ?? undefined;
      const bytes = await response.arrayBuffer();
      if (tag && next === tag) return tag;
      const codec = response.headers.get("X-Siaran-Codec") || /codecs="?([^";]+)/.exec(response.headers.get("Content-Type") ?? "")?.[1];
      const frame = await decode(codec, bytes);
      paint(canvas, frame);
      frame.close();
      return next ?? true;
    } catch {
      return undefined;
    }
  });
}

// decode gives the one picture of a key frame, which is to be closed.
async function decode(codec, data) {
  let frame;
  const { promise, reject } = Promise.withResolvers();
  const decoder = new VideoDecoder({
    output: (picture) => {
      frame?.close();
      frame = picture;
    },
    error: reject,
  });
  try {
    decoder.configure({ codec, optimizeForLatency: true });
    decoder.decode(new EncodedVideoChunk({ type: "key", timestamp: 0, data }));
    await Promise.race([decoder.flush(), promise]);
    if (!frame) throw new Error("no picture came out");
    return frame;
  } catch (error) {
    frame?.close();
    throw error;
  } finally {
    if (decoder.state !== "closed") decoder.close();
  }
}

// paint fills the canvas with the middle of the picture; what is far from 16:9 stands whole on a dark ground.
function paint(canvas, frame) {
  const g = canvas.getContext("2d");
  const { displayWidth: w, displayHeight: h } = frame;
  const fill = Math.max(canvas.width / w, canvas.height / h);
  const fit = Math.min(canvas.width / w, canvas.height / h);
  const scale = fill / fit > 1.5 ? fit : fill;
  g.fillStyle = "#0b0d14";
  g.fillRect(0, 0, canvas.width, canvas.height);
  g.imageSmoothingQuality = "high";
  g.drawImage(frame, (canvas.width - w * scale) / 2, (canvas.height - h * scale) / 2, w * scale, h * scale);
}
