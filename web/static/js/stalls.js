// A watch over a connection that has been fine.
import { received } from "./stats.js";

// Both in milliseconds.
const stallTime = 5000; // no packet any more
const freezeTime = 15000; // packets and no picture; longer than encoders are apart with key frames

// watchStalls calls lost when pc brings nothing any more, or nothing that can be shown, while the stream is live, and playing, on a page in sight.
// What it returns ends it.
export function watchStalls(pc, { live, playing }, lost) {
  let before = {};
  let packetsAt;
  let framesAt;
  const timer = setInterval(async () => {
    if (pc.connectionState === "closed") return;
    const now = received(await pc.getStats());
    const time = performance.now();
    const watched = live() && !document.hidden;
    if (now.packets !== before.packets || !watched) packetsAt = time;
    if (now.frames !== before.frames || now.videoPackets === before.videoPackets || !watched || !playing()) framesAt = time;
    before = now;
    if (time - packetsAt > stallTime || time - framesAt > freezeTime) lost();
  }, 1000);
  return () => clearInterval(timer);
}
