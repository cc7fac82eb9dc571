// @ts-check
// A viewer of one stream that keeps itself alive: it waits, connects, reconnects and goes on by itself.
import { localFailure, Problem } from "./api.js";
import { Comeback } from "./comeback.js";
import { ConnectionTrace, fullReport } from "./connection-trace.js";
import { Feed } from "./feed.js";
import { Attempt, firstMedia } from "./first-media.js";
import { askICE, transportPolicy } from "./ice.js";
import { MediaArrival } from "./media-arrival.js";
import { PathKeeper } from "./path-keeper.js";
import { Pausing } from "./pausing.js";
import { Quality } from "./quality.js";
import { offerDescriptors, stereoOpus } from "./sdp.js";
import { onHangUp, open } from "./session.js";
import { watchStalls } from "./stalls.js";
import { inbound, Rates } from "./stats.js";
import { grow, WaitingRoom } from "./waiting-room.js";

/** @import { Token } from "./api.js" */
/** @import { Verdict } from "./connection-trace.js" */
/** @import { Stage } from "./first-media.js" */
/** @import { RelayChoice } from "./ice.js" */
/** @import { MissingMedia } from "./media-arrival.js" */
/** @import { Session } from "./session.js" */

/**
 * @typedef {"idle" | "connecting" | "live" | "paused" | "interrupted" | "reconnecting" | "waiting" | "ended" | "error"
 * } ReceiverState
 *
 * @typedef {object} Failed why one attempt failed
 * @property {Stage} stage
 * @property {Problem} problem
 * @property {Partial<Verdict>} verdict empty when the server gave no session
 * @property {string} report for the operator
 *
 * @typedef {Omit<Failed, "verdict"> & Partial<Verdict> & { retryAt?: number }} ReceiverFailure retryAt is the time of
 *   the next attempt on Date.now()'s clock: 0 while it is under way, undefined when there is none
 *
 * @typedef {object} ReceiverOptions
 * @property {string} stream
 * @property {string} [server]
 * @property {Token} [token]
 * @property {RelayChoice} [relay]
 * @property {boolean} [stay] a stream that is live on another server is not followed there
 * @property {boolean} [live] the stream is known to be live, so nobody is asked first
 */

// All in milliseconds.
const longestWait = 30000;
const pauseTime = 30000; // of a pause, until the session ends: what comes in the meantime costs and is never seen
const lossWait = 300; // after the loss of a session that had played
const hopeTime = 10000; // after such a loss, in which failures are not shown
const answerTime = 3500; // for an offer after such a loss; a server may need 3 s to get the stream from another one
const unansweredOffers = 2; // in a row

const fatal = new Set([400, 401, 403, 404, 405, 415, 422]); // statuses that will not change by themselves
// Reasons to end a session that are no failures.
const calm = new Set(["stopped", "again", "network", "ended", "paused"]);

/**
 * Receiver plays a stream into a video element. It dispatches "state", "info" (what the server says of the stream, or
 * missing, has changed), "unanswered" (the server answers nothing any more) and, with stay, "elsewhere".
 */
export class Receiver extends EventTarget {
  /** @type {ReceiverState} */
  state = "idle";
  /** @type {API.Stream | undefined} */
  info; // undefined when the stream is not live
  /** @type {ReceiverFailure | undefined} */
  failure; // in state error
  /** @type {MissingMedia} */
  missing = {};
  quality; // what it gets of a stream with several layers
  #sizes = ""; // of the layers, as the server last said
  #over = false; // the broadcast has ended, though the session may go on with the next one
  #video;
  #options;
  #feed;
  #room;
  #pausing;
  #blocked = false; // the browser wants a tap before it plays
  /** @type {number | undefined} */
  #pauseTimer;
  #running = false;
  #attempt = new Attempt();
  /** @type {RTCPeerConnection | undefined} */
  #pc;
  /** @type {Session | undefined} */
  #session;
  /** @type {PathKeeper | undefined} */
  #path;
  /** @type {AbortController | undefined} */
  #abort;
  /** @type {(reason: string) => void} */
  #lost = () => {}; // ends the present session
  #wake = () => {}; // ends the present wait
  #seen = false; // was live before
  #refused = 0; // offers in a row that were refused because the stream is not live
  #failures = 0; // in a row
  #unanswered = 0; // offers in a row
  #comeback = new Comeback(); // after the loss of a session that had played
  #relayed = false; // the media came through a relay last time
  #rates = new Rates(); // of the present attempt

  /**
   * @param {HTMLVideoElement} video
   * @param {ReceiverOptions} options
   */
  constructor(video, { stream, server = location.origin, token = "", relay = "", stay = false, live = false }) {
    super();
    this.#video = video;
    this.#options = { stream, server, token, relay, stay, live };
    this.quality = new Quality(token);
    this.#pausing = new Pausing(video);
    this.#pausing.addEventListener("change", () => this.#paused());
    this.#pausing.addEventListener("return", () => this.play());
    this.#feed = new Feed({ server, stream, token, rests: true });
    this.#room = new WaitingRoom(this.#feed, this.#options);
    this.#feed.on("snapshot", (streams) => this.#know(streams.find(({ name }) => name === stream)));
    this.#feed.on("stream", (said) => said.name === stream && this.#know(said));
    this.#feed.on("reconnect", ({ within }) => {
      this.#comeback.within = Number(within) || 0;
    });
    this.#feed.on("gone", (name) => name === stream && this.#know(undefined, true));
    for (const name of /** @type {const} */ (["offline", "rest"])) {
      this.#feed.on(name, () => this.#waits() && this.#wake());
    }
  }

  get stage() {
    return this.#attempt.stage;
  }

  get stageSince() {
    return this.#attempt.since;
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    this.#pausing.start();
    this.#feed.start();
    this.#run();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#pauseTimer);
    this.#pausing.close();
    this.#feed.close();
    this.#abort?.abort();
    this.#session?.close();
    this.#pc = undefined;
    this.#lost("stopped");
    this.#wake();
    this.#set("idle");
  }

  #waits() {
    return this.state === "waiting" || this.state === "ended";
  }

  /** again tries at once: for a button. */
  again() {
    this.#wake();
    if (this.state === "interrupted" || this.state === "live" || this.state === "paused") return;
    this.#lost("again");
  }

  networkChanged() {
    if (!this.#path?.networkChanged() && this.state !== "interrupted") this.#lost("network");
    this.#wake();
  }

  /** pause stops the picture until play, and ends the session after a while. */
  pause() {
    this.#pausing.hold();
  }

  /** play goes on at the live edge. Browsers stay there through a pause; a long pause is followed by a new session. */
  async play() {
    this.#pausing.release();
    if (this.#pc) await this.#begin();
    else this.#wake();
  }

  async #begin() {
    try {
      await this.#video.play();
      this.#block(false);
    } catch (error) {
      if (error instanceof Error && error.name === "NotAllowedError") this.#block(true);
    }
  }

  #paused() {
    clearTimeout(this.#pauseTimer);
    if (!this.#pausing.by) this.#wake();
    else if (this.stage === "play") this.#pauseTimer = setTimeout(() => this.#lost("paused"), pauseTime);
    else this.#lost("paused");
    this.#showPlaying();
  }

  /** reports gives those of getStats(), none when there is no connection. */
  async reports() {
    return this.#pc ? [...(await this.#pc.getStats()).values()] : [];
  }

  async stats() {
    const stats = this.#pc && inbound(await this.#pc.getStats(), this.#rates);
    return stats && { ...stats, viewing: this.quality.viewing };
  }

  /** @param {boolean} blocked */
  #block(blocked) {
    this.#blocked = blocked;
    this.#showPlaying();
  }

  #setComing() {
    this.#set(this.#seen ? "reconnecting" : "connecting");
  }

  /** #showPlaying sets the state of a session that has begun to play. */
  #showPlaying() {
    if (this.stage !== "play" || !this.#pc) return;
    if (this.#pausing.by || this.#blocked) this.#set("paused");
    else if (this.#over) this.#set("ended");
    else this.#set(this.info?.status === "interrupted" ? "interrupted" : "live");
  }

  /**
   * @param {ReceiverState} state
   * @param {ReceiverFailure} [failure]
   */
  #set(state, failure) {
    if (this.state === state && !failure) return;
    this.state = state;
    this.failure = failure;
    this.dispatchEvent(new Event("state"));
  }

  /**
   * #know takes what the server says of the stream.
   * @param {API.Stream | undefined} said
   * @param {boolean} [gone]
   */
  #know(said, gone = said?.status === "offline") {
    const info = gone ? undefined : said;
    const news = info?.status !== this.info?.status;
    this.info = info;
    this.#over = gone;
    this.dispatchEvent(new Event("info"));
    const sizes = JSON.stringify([info?.video, info?.layers]);
    if (sizes !== this.#sizes && this.stage === "play") this.quality.look();
    this.#sizes = sizes;
    // The server ends the session, or keeps it for a while in case the broadcaster starts again.
    if (gone && this.state === "paused") this.#lost("ended");
    else if (this.stage === "play") this.#showPlaying();
    else if (this.state === "interrupted" && info?.status === "live") this.#setComing();
    if (news) this.#wake();
  }

  async #run() {
    while (this.#running) {
      if (!(await this.#mayCome())) continue;
      if (this.failure) this.#set("error", { ...this.failure, retryAt: 0 });
      else if (!this.#waits() && this.state !== "interrupted") this.#setComing(); // interrupted: see #fail
      let wait = 0;
      try {
        const reason = await this.#watch();
        this.#failures = this.#refused = this.#unanswered = 0;
        if (!this.#running) return;
        if (reason === "ended" || (reason === "hung up" && this.#over)) {
          this.#set("ended");
        } else if (reason !== "paused") {
          this.#set("reconnecting");
          this.#comeback.lost();
          wait = calm.has(reason) ? 0 : Math.max(lossWait, this.#comeback.within * Math.random());
        }
      } catch (error) {
        if (!this.#running) return;
        wait = this.#fail(/** @type {Failed} */ (error));
      }
      await this.#sleep(wait);
    }
  }

  /** #mayCome resolves with true when it is time to make an offer, and with false after a wait: ask again then. */
  async #mayCome() {
    if (!this.#seen && !this.#options.live) await this.#room.settle();
    if (!this.#running) return false;
    const there = this.info !== undefined;
    if (this.#pausing.by) {
      this.#set(there || !this.#feed.told ? "paused" : "ended");
      await this.#sleep(Infinity);
      return false;
    }
    if (this.#feed.told && !there) {
      this.#failures = this.#refused = 0;
      this.#comeback.back();
      this.#set(this.#seen ? "ended" : "waiting");
      await this.#sleep(Infinity);
      if (this.info) await this.#sleep(this.#room.spread());
      return false;
    }
    const spread = this.#room.spread();
    if (spread) await this.#sleep(spread);
    if (this.#feed.told || !this.#waits()) return true;
    await this.#sleep(grow(this.#refused++));
    return !this.#feed.told && this.#running && this.#room.look();
  }

  /**
   * #fail shows what was the matter, unless it may well heal before anyone has read it, and returns the milliseconds
   * until the next attempt.
   * @param {Failed} failed
   */
  #fail({ stage, problem, verdict, report }) {
    this.#unanswered = problem.status === 0 ? this.#unanswered + 1 : 0;
    if (this.#unanswered >= unansweredOffers) this.dispatchEvent(new Event("unanswered"));
    if (problem.status === 409 || problem.status === 307) {
      this.#failures = 0;
      this.#comeback.back();
      this.#set(this.#seen ? "ended" : "waiting");
      if (problem.status === 307) this.dispatchEvent(new Event("elsewhere"));
      // It is not here, though it is said to be live. Without live updates the waiting room asks first.
      return this.#feed.told ? grow(this.#refused++) : 0;
    }
    if (problem.code === "returning") {
      this.#failures = 0;
      this.#set(this.#seen ? "interrupted" : "waiting");
      return this.#feed.told && this.info?.status === "interrupted" ? Infinity : this.#comeback.pause();
    }
    const n = ++this.#failures;
    const growing = Math.min(500 * 2 ** n, longestWait) * (0.7 + 0.6 * Math.random());
    const ours = this.#comeback.away ? this.#comeback.pause() : growing;
    const spread = 1000 + 500 * Math.random(); // milliseconds a second: many may have been told the same
    const wait = fatal.has(problem.status) ? Infinity : (problem.retryAfter ?? 0) * spread || ours;
    if (n > this.#patience(stage, wait) || this.state === "error") {
      const retryAt = wait === Infinity ? undefined : Math.round(Date.now() + wait);
      this.#set("error", { stage, problem, ...verdict, report, retryAt });
    } else if (this.#seen) {
      this.#set("reconnecting");
    }
    return wait;
  }

  /**
   * #patience is how many failures in a row are not shown.
   * @param {Stage} stage
   * @param {number} wait
   */
  #patience(stage, wait) {
    if (wait === Infinity) return 0;
    if (this.#seen) return this.#comeback.away < hopeTime ? Infinity : 2;
    return stage === "offer" ? 1 : 0;
  }

  /**
   * @param {number} milliseconds
   * @returns {Promise<void>}
   */
  #sleep(milliseconds) {
    return new Promise((resolve) => {
      const timer = milliseconds === Infinity ? undefined : setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /**
   * #watch opens one session and resolves with why it ended. It rejects with Failed when there never was media.
   * @returns {Promise<string>}
   */
  async #watch() {
    const { server, relay } = this.#options;
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    // With the answer's ICE servers a direct path is mostly found before the browser has asked a relay. Whoever needs
    // one asks for them right away.
    const needed = (relay || this.#failures || this.#relayed) && !this.#waits();
    const ice = needed ? askICE(server, signal) : undefined;
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceTransportPolicy: transportPolicy(relay) });
    this.#pc = pc;
    this.#rates = new Rates();
    this.#attempt = new Attempt(new ConnectionTrace(pc));
    /** @type {Session | undefined} */
    let session;
    try {
      session = await this.#offer(pc, signal, ice);
      return await this.#play(pc, session);
    } catch (error) {
      throw await this.#explained(error, Boolean(session));
    } finally {
      this.missing = {};
      this.#path?.close();
      this.#path = undefined;
      session?.close();
      if (!session) pc.close();
      if (this.#pc === pc) this.#pc = undefined;
    }
  }

  /**
   * @param {RTCPeerConnection} pc
   * @param {AbortSignal} signal
   * @param {Promise<RTCIceServer[]>} [ice]
   */
  async #offer(pc, signal, ice) {
    const { stream, server, token, relay, stay } = this.#options;
    pc.addTransceiver("audio", { direction: "recvonly" });
    offerDescriptors(pc.addTransceiver("video", { direction: "recvonly" }));
    const endpoint = new URL(`/whep/${encodeURIComponent(stream)}`, server).href;
    const silence = this.#seen
      ? setTimeout(() => this.dispatchEvent(new Event("unanswered")), answerTime) : undefined;
    const step = (/** @type {string} */ name) => name === "answered" && clearTimeout(silence);
    const redirect = stay ? "manual" : "follow";
    try {
      return await open(pc, endpoint, { token, edit: stereoOpus, step, signal, ice, relay, redirect });
    } finally {
      clearTimeout(silence);
    }
  }

  /**
   * #play takes a session from the answer to its end.
   * @param {RTCPeerConnection} pc
   * @param {Session} session
   */
  async #play(pc, session) {
    const attempt = this.#attempt;
    this.#session = session;
    attempt.enter("connect");
    const lost = this.#lostOf(pc, session);
    if (this.#pausing.by) return "paused";
    const arrival = new MediaArrival(pc, this.#video, () => this.#begin());
    const interrupted = () => {
      if (this.info?.status !== "interrupted") return false;
      this.#set("interrupted");
      return true;
    };
    const playing = firstMedia(pc, attempt, arrival, this.#video, { interrupted, blocked: () => this.#blocked });
    const hitch = await Promise.race([playing, lost]);
    if (hitch && calm.has(hitch)) return hitch;
    if (hitch) throw new Problem(localFailure, hitch);
    attempt.enter("play");
    this.#seen = true;
    this.#comeback.back();
    this.quality.begin(session);
    this.stats().then((stats) => { this.#relayed = stats?.path?.relayed ?? false; });
    this.#showPlaying();
    const tellMissing = () => {
      this.missing = arrival.missing;
      this.dispatchEvent(new Event("info"));
    };
    arrival.addEventListener("change", tellMissing);
    tellMissing();
    const path = this.#path;
    const live = () => !this.#over && this.info?.status !== "interrupted" && !path?.busy;
    const is = { live, playing: () => !this.#video.paused, unheard: () => this.#feed.lost };
    const unwatch = watchStalls(pc, arrival, is, () => this.#lost("stalled"));
    const reason = await lost.finally(unwatch).finally(() => this.quality.end());
    if (reason === "hung up") session.abandon(); // the server has nothing left to delete
    return reason;
  }

  /**
   * #lostOf resolves with why the session is over.
   * @param {RTCPeerConnection} pc
   * @param {Session} session
   * @returns {Promise<string>}
   */
  #lostOf(pc, session) {
    const lost = new Promise((resolve) => { this.#lost = resolve; });
    this.#path = new PathKeeper(pc, session, () => this.#pc === pc && this.#lost("failed"));
    onHangUp(pc, () => this.#pc === pc && this.#lost("hung up"));
    return lost;
  }

  /**
   * #explained gathers what is to be said of a failed attempt while its connection can still be asked.
   * @param {unknown} error
   * @param {boolean} answered the server gave a session
   * @returns {Promise<Failed>}
   */
  async #explained(error, answered) {
    const { stage, trace } = this.#attempt;
    const { stream, server } = this.#options;
    const problem = Problem.from(error);
    /** @type {Partial<Verdict>} */
    const verdict = (answered && trace?.verdict(stage)) || {};
    const lines = await trace?.report();
    const what = verdict.cause ?? "no session";
    const report = fullReport({ what, stage, problem, server, stream, attempt: this.#failures + 1, lines });
    return { stage, problem, verdict, report };
  }
}
