// @ts-check
// A watch over a connection that has played.

// All in milliseconds.
const lookEvery = 1000;
const stallTime = 5000; // without a packet
const deadTime = 1500; // the same while the server's live updates are lost as well
const freezeTime = 15000; // packets and no picture; longer than the time between two key frames of any usual encoder
// The same where no picture was ever shown and sound plays, which a new session would interrupt.
const unseenTime = 60000;

/**
 * watchStalls looks at what arrives through pc. It calls lost when nothing arrives any more, or nothing that can be
 * shown, while the stream is live, and playing, on a page in sight. The function that it returns ends the watch.
 * @param {RTCPeerConnection} pc
 * @param {import("./media-arrival.js").MediaArrival} arrival
 * @param {{ live: () => boolean, playing: () => boolean, unheard: () => boolean }} is unheard: of the server
 * @param {() => void} lost
 */
export function watchStalls(pc, arrival, is, lost) {
  let before = { audio: -1, video: -1, frames: -1 };
  let packetsAt = 0;
  let framesAt = 0;
  const timer = setInterval(async () => {
    if (pc.connectionState === "closed") return;
    arrival.look(await pc.getStats(), { quiet: !is.live() });
    const now = { audio: arrival.packets("audio"), video: arrival.packets("video"), frames: arrival.frames };
    const time = performance.now();
    const watched = is.live() && !document.hidden;
    if (now.audio !== before.audio || now.video !== before.video || !watched) packetsAt = time;
    if (now.frames !== before.frames || now.video === before.video || !watched || !is.playing()) framesAt = time;
    before = now;
    const stall = is.unheard() ? deadTime : stallTime;
    if (time - packetsAt > stall || time - framesAt > (arrival.alone ? unseenTime : freezeTime)) lost();
  }, lookEvery);
  return () => clearInterval(timer);
}
