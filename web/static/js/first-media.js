// @ts-check
// A connection on its way from the answer to something that plays.

/** @import { ConnectionTrace } from "./connection-trace.js" */
/** @import { Kind, MediaArrival } from "./media-arrival.js" */

/** @typedef {"offer" | "connect" | "secure" | "media" | "decode" | "play"} Stage */

// All in milliseconds.
const lookEvery = 200;
const connectTime = 12000; // from the answer to a connection
const mediaTime = 5000; // connected, and no packet
const decodeTime = 10000; // packets, and no picture

/** Attempt says how far one connection has come. */
export class Attempt {
  /** @type {Stage} */
  stage = "offer";
  since = performance.now(); // when the stage began
  trace;

  /** @param {ConnectionTrace} [trace] */
  constructor(trace) {
    this.trace = trace;
    this.enter("offer");
  }

  /** @param {Stage} stage */
  enter(stage) {
    this.stage = stage;
    this.since = performance.now();
    this.trace?.mark(stage);
  }

  /** wait starts the stage's time again. */
  wait() {
    this.since = performance.now();
  }
}

/**
 * firstMedia resolves with nothing when pc plays, or with the reason why it does not; it moves the attempt on.
 * @param {RTCPeerConnection} pc
 * @param {Attempt} attempt
 * @param {MediaArrival} arrival
 * @param {HTMLVideoElement} video
 * @param {object} is
 * @param {() => boolean} is.interrupted nobody sends at the moment
 * @param {() => boolean} is.blocked the browser wants a tap before it plays: the rest is up to the viewer
 * @returns {Promise<string | undefined>}
 */
export function firstMedia(pc, attempt, arrival, video, is) {
  const { leader } = arrival;
  /** @type {PromiseWithResolvers<string | undefined>} */
  const { promise, resolve } = Promise.withResolvers();
  if (!leader) return Promise.resolve("no tracks");
  const done = () => resolve(undefined);
  const look = () => {
    const found = ["connected", "completed"].includes(pc.iceConnectionState);
    if (attempt.stage === "connect" && found) attempt.enter("secure");
    if (["connect", "secure"].includes(attempt.stage) && pc.connectionState === "connected") attempt.enter("media");
  };
  const show = async (/** @type {Kind | undefined} */ kind) => {
    look();
    if (pc.signalingState === "closed") return;
    if (attempt.stage !== "decode") attempt.enter("decode");
    video.addEventListener("loadeddata", done);
    await arrival.show(kind);
    if (is.blocked()) done();
  };
  for (const name of ["iceconnectionstatechange", "connectionstatechange"]) pc.addEventListener(name, look);
  const unmuted = () => show(undefined);
  if (leader.muted) leader.addEventListener("unmute", unmuted, { once: true });
  else show(undefined);
  const answered = performance.now();
  const timer = setInterval(async () => {
    look();
    if (["connect", "secure"].includes(attempt.stage)) {
      if (performance.now() - answered > connectTime) resolve("timeout");
      return;
    }
    if (pc.signalingState === "closed") return;
    const alone = arrival.look(await pc.getStats());
    const waited = performance.now() - attempt.since;
    if (is.interrupted()) {
      attempt.wait();
    } else if (alone && !arrival.alone) {
      show("audio");
    } else if (attempt.stage === "media" && waited > mediaTime && !arrival.packets("audio")) {
      if (arrival.packets("video")) attempt.enter("decode");
      else resolve("timeout");
    } else if (attempt.stage === "decode" && waited > decodeTime && !document.hidden) {
      resolve("timeout");
    }
  }, lookEvery);
  return promise.finally(() => {
    clearInterval(timer);
    leader.removeEventListener("unmute", unmuted);
    video.removeEventListener("loadeddata", done);
  });
}
