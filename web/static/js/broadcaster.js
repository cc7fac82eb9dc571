// @ts-check
// A broadcaster that keeps itself alive: after a loss it publishes again with the same token and takes its own stream
// over.
import { localFailure, Problem, requestJSON, streamURL } from "./api.js";
import { Comeback } from "./comeback.js";
import { ConnectionTrace, fullReport } from "./connection-trace.js";
import { addVideo, adjust, encodingsOf } from "./encodings.js";
import { askICE, transportPolicy } from "./ice.js";
import { PathKeeper } from "./path-keeper.js";
import { repairedOpus, startBitrate, stereoOpus } from "./sdp.js";
import { onHangUp, open } from "./session.js";
import { outbound, Rates } from "./stats.js";

/** @import { Token } from "./api.js" */
/** @import { Verdict } from "./connection-trace.js" */
/** @import { RelayChoice } from "./ice.js" */
/** @import { Session } from "./session.js" */

/**
 * @typedef {"idle" | "connecting" | "live" | "reconnecting" | "error"} BroadcasterState
 * @typedef {"peer" | "offer" | "stored" | "signalling" | "answer" | "connected"} BroadcastStep
 * @typedef {BroadcastStep | "ended"} BroadcastStage "ended": the broadcast was ended, or goes on, elsewhere
 *
 * @typedef {object} Failed why one attempt failed
 * @property {BroadcastStage} stage
 * @property {Problem} problem
 * @property {string} [report] for the operator
 *
 * @typedef {Failed & Partial<Verdict> & { retryAt?: number }} BroadcasterFailure retryAt is on Date.now()'s clock, 0
 *   while the next attempt is under way
 *
 * @typedef {object} BroadcastOptions
 * @property {string} [server]
 * @property {string} name of the stream
 * @property {Token} token
 * @property {number} bitrate at most, of the largest picture, in bits a second
 * @property {boolean} layered whether smaller pictures are sent too
 * @property {string} [codec] of the video, to be used in place of any other
 * @property {() => Promise<void>} [store] is awaited once, after the offer is made and before it is sent
 * @property {RelayChoice} [relay]
 */

// All in milliseconds.
const connectTime = 12000;
const longestWait = 30000;
const keyframeEvery = 4000; // browsers make key frames only when asked; previews and new viewers need them
const noticeTime = 3000; // until the server has surely noticed that nothing arrives, which takes it 2 s

// Bits a second, until the browser has measured: of one picture, and of several, of which browsers serve the smallest
// first.
const firstBitrate = { one: 1_200_000, several: 2_000_000 };
const final = new Set([400, 401, 403, 404, 409, 413, 415, 422]); // statuses that will not change by themselves

/**
 * Broadcaster dispatches "state" and "step" (detail: {name, done}). failure says what ended the broadcast in state
 * error; in other states, why the last attempt failed.
 */
export class Broadcaster extends EventTarget {
  /** @type {BroadcasterState} */
  state = "idle";
  /** @type {BroadcasterFailure | undefined} */
  failure;
  /** @type {BroadcastOptions & { server: string, endpoint: string }} */
  #options = { server: "", endpoint: "", name: "", token: "", bitrate: 0, layered: false };
  #stream = new MediaStream();
  /** @type {RTCPeerConnection | undefined} */
  #pc;
  /** @type {Session | undefined} */
  #session;
  /** @type {PathKeeper | undefined} */
  #path;
  /** @type {AbortController | undefined} */
  #abort;
  #wasLive = false;
  #comeback = new Comeback();
  #rates = new Rates(); // of the present session
  #attempts = 0; // that failed while connecting
  #lost = () => {};
  #wake = () => {}; // ends the present wait
  /** @type {object | undefined} */
  #run; // the start() that counts; it ends when this is another one, or undefined

  /**
   * start publishes stream until stop is called or the broadcast is over.
   * @param {MediaStream} stream
   * @param {BroadcastOptions} options
   */
  async start(stream, options) {
    const server = options.server ?? location.origin;
    this.#stream = stream;
    const endpoint = new URL(`/whip/${encodeURIComponent(options.name)}`, server).href;
    this.#options = { ...options, server, endpoint };
    const run = {};
    this.#run = run;
    let failures = 0;
    this.#attempts = 0;
    this.#wasLive = false;
    this.#comeback.back();
    while (this.#run === run) {
      const coming = this.#wasLive ? "reconnecting" : "connecting";
      this.#set(coming, failures && this.failure ? { ...this.failure, retryAt: 0 } : undefined);
      try {
        await this.#publish(() => {
          failures = 0;
          this.#comeback.back();
          this.#wasLive = true;
          this.#set("live");
        });
        this.#comeback.lost();
        if (this.#run === run && (await this.#overElsewhere()) && this.#run === run) {
          this.#run = undefined;
          this.#set("error", { stage: "ended", problem: new Problem(localFailure, "ended elsewhere") });
          return;
        }
      } catch (error) {
        if (this.#run !== run) return;
        const failed = /** @type {Failed} */ (error);
        const { stage, problem } = failed;
        const hopeless = !this.#wasLive && problem.status === localFailure && stage !== "connected";
        if (final.has(problem.status) || hopeless) {
          this.#run = undefined;
          this.#set("error", failed);
          return;
        }
        failures++;
        const ours = this.#comeback.away ? this.#comeback.pause() : Math.min(500 * 2 ** failures, longestWait);
        const wait = problem.retryAfter ? problem.retryAfter * 1000 : ours;
        this.#set(this.#wasLive ? "reconnecting" : "connecting", { ...failed, retryAt: Date.now() + wait });
        await this.#sleep(wait);
      }
    }
  }

  stop() {
    this.#run = undefined;
    this.#abort?.abort();
    this.#session?.close();
    this.#session = undefined;
    this.#pc = undefined;
    this.#lost();
    this.#wake();
    this.#set("idle");
  }

  networkChanged() {
    this.#path?.networkChanged();
    this.#wake();
  }

  /**
   * replace goes on with other tracks in the same session; it reports whether that was possible.
   * @param {MediaStream} stream
   * @param {{ bitrate: number, layered: boolean }} wanted
   */
  async replace(stream, { bitrate, layered }) {
    const transceivers = this.#pc?.getTransceivers() ?? [];
    const pairs = ["audio", "video"].map((kind) => ({
      track: stream.getTracks().find((track) => track.kind === kind),
      transceiver: transceivers.find((transceiver) => transceiver.receiver.track.kind === kind),
    }));
    if (!this.#pc || pairs.some(({ track, transceiver }) => Boolean(track) !== Boolean(transceiver))) return false;
    for (const { track, transceiver } of pairs) await transceiver?.sender.replaceTrack(track ?? null);
    this.#stream = stream;
    Object.assign(this.#options, { bitrate, layered });
    if (this.#pc) await this.#bound(this.#pc);
    return true;
  }

  /** stats is what goes out; undefined without a connection. */
  async stats() {
    return this.#pc ? outbound(await this.#pc.getStats(), this.#rates) : undefined;
  }

  /**
   * @param {BroadcasterState} state
   * @param {BroadcasterFailure} [failure]
   */
  #set(state, failure) {
    if (state === this.state && !failure) return;
    this.state = state;
    this.failure = failure;
    this.dispatchEvent(new Event("state"));
  }

  /**
   * @param {BroadcastStep} name
   * @param {boolean} [done]
   */
  #step(name, done = false) {
    this.dispatchEvent(new CustomEvent("step", { detail: { name, done } }));
  }

  /**
   * @param {number} milliseconds
   * @returns {Promise<void>}
   */
  #sleep(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #store() {
    const { store } = this.#options;
    if (!store) return;
    this.#step("stored");
    await store();
    this.#options.store = undefined;
    this.#step("stored", true);
  }

  /**
   * #overElsewhere reports, after a loss, whether somebody ended the broadcast, or it goes on from another page: coming
   * back would be a quarrel. To a server that is away, or waits for this page, the page does come back.
   */
  async #overElsewhere() {
    const { server, name, token } = this.#options;
    for (let look = 0; look < 2; look++) {
      if (look) await this.#sleep(noticeTime);
      try {
        /** @type {API.StreamDetail} */
        const { status } = await requestJSON(streamURL(server, name), { token, timeout: 3000 });
        if (status !== "live") return status === "offline";
      } catch (error) {
        return error instanceof Problem && error.status === 404;
      }
    }
    return true;
  }

  /**
   * #publish opens one session and resolves when it is lost. It rejects with Failed when it never was connected.
   * @param {() => void} connected
   */
  async #publish(connected) {
    this.#abort = new AbortController();
    this.#step("peer");
    const { server, relay = "" } = this.#options;
    // Otherwise the ICE servers of the answer are early enough.
    const ice = relay || this.#attempts ? askICE(server, this.#abort.signal) : undefined;
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceTransportPolicy: transportPolicy(relay) });
    this.#pc = pc;
    this.#rates = new Rates();
    const trace = new ConnectionTrace(pc);
    /** @type {{ stage: BroadcastStage, session?: Session }} */
    const attempt = { stage: "peer" };
    try {
      for (const track of this.#stream.getTracks()) {
        if (track.kind === "video") await addVideo(pc, track, this.#stream, this.#options);
        else pc.addTransceiver(track, { direction: "sendonly", streams: [this.#stream] });
      }
      this.#step("peer", true);
      attempt.session = await this.#offer(pc, trace, attempt, this.#abort.signal, ice);
      this.#session = attempt.session;
      attempt.stage = "connected";
      this.#step("connected");
      await this.#bound(pc);
      const lost = this.#lostOf(pc, attempt.session);
      await this.#connectedOf(pc, lost);
      this.#step("connected", true);
      if (this.#pc === pc) connected();
      const timer = setInterval(() => this.#bound(pc, true), keyframeEvery);
      await lost.finally(() => clearInterval(timer));
    } catch (error) {
      throw await this.#explained(error, attempt.stage, trace);
    } finally {
      this.#path?.close();
      this.#path = undefined;
      // A broadcast that never was live ends with its session. One that was goes on with the next session, and its
      // viewers stay.
      if (this.#wasLive) attempt.session?.abandon();
      else attempt.session?.close();
      if (!attempt.session) pc.close();
      if (this.#pc === pc) this.#pc = undefined;
    }
  }

  /**
   * #offer makes the session, and keeps attempt.stage up to date on the way.
   * @param {RTCPeerConnection} pc
   * @param {ConnectionTrace} trace
   * @param {{ stage: BroadcastStage }} attempt
   * @param {AbortSignal} signal
   * @param {Promise<RTCIceServer[]>} [ice]
   */
  #offer(pc, trace, attempt, signal, ice) {
    const { endpoint, token, relay } = this.#options;
    const begin = (/** @type {BroadcastStep} */ name) => {
      attempt.stage = name;
      trace.mark(name);
      this.#step(name);
    };
    begin("offer");
    return open(pc, endpoint, {
      token, signal, ice, relay,
      edit: (sdp) => repairedOpus(stereoOpus(sdp, ";maxaveragebitrate=128000")),
      editAnswer: (sdp) => startBitrate(sdp, this.#startingBitrate() / 1000),
      step: async (name) => {
        switch (name) {
          case "offer":
            this.#step("offer", true);
            attempt.stage = "stored";
            await this.#store();
            break;
          case "sent":
            begin("signalling");
            break;
          case "answered":
            this.#step("signalling", true);
            trace.mark("answer");
            break;
          case "answer":
            this.#step("answer", true);
        }
      },
    });
  }

  /**
   * #explained gathers what is to be said of a failed attempt while its connection can still be asked.
   * @param {unknown} error
   * @param {BroadcastStage} stage
   * @param {ConnectionTrace} trace
   * @returns {Promise<Failed & Partial<Verdict>>}
   */
  async #explained(error, stage, trace) {
    const { server, name } = this.#options;
    const problem = Problem.from(error);
    if (stage !== "connected") return { stage, problem };
    const secured = trace.reached("ice connected") || trace.reached("ice completed");
    const verdict = trace.verdict(secured ? "secure" : "connect");
    const lines = await trace.report();
    const attempt = ++this.#attempts;
    const report = fullReport({ what: verdict.cause, stage, problem, server, stream: name, attempt, lines });
    return { stage, problem, ...verdict, report };
  }

  /**
   * #lostOf resolves when the session is over.
   * @param {RTCPeerConnection} pc
   * @param {Session} session
   * @returns {Promise<void>}
   */
  #lostOf(pc, session) {
    return new Promise((resolve) => {
      this.#lost = resolve;
      onHangUp(pc, resolve);
      this.#path = new PathKeeper(pc, session, () => resolve());
    });
  }

  /**
   * #connectedOf resolves when the session is connected, and rejects when that takes too long or it is lost.
   * @param {RTCPeerConnection} pc
   * @param {Promise<void>} lost
   * @returns {Promise<void>}
   */
  #connectedOf(pc, lost) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Problem(localFailure, "timeout")), connectTime);
      const look = () => {
        if (pc.connectionState !== "connected") return;
        clearTimeout(timer);
        resolve();
      };
      pc.addEventListener("connectionstatechange", look);
      lost.then(() => {
        clearTimeout(timer);
        reject(new Problem(localFailure, "failed"));
      });
      look();
    });
  }

  #startingBitrate() {
    const [track] = this.#stream.getVideoTracks();
    const list = track ? encodingsOf(track, this.#options) : [];
    const whole = list.reduce((sum, { maxBitrate }) => sum + maxBitrate, 0);
    return Math.min(list.length > 1 ? firstBitrate.several : firstBitrate.one, whole || firstBitrate.one);
  }

  /**
   * #bound keeps the encoder within what the broadcaster chose, and asks it for a key frame, where the browser can.
   * @param {RTCPeerConnection} pc
   * @param {boolean} [keyFrame]
   */
  async #bound(pc, keyFrame = false) {
    const sender = pc.getSenders().find((each) => each.track?.kind === "video");
    if (!sender?.track) return;
    const parameters = sender.getParameters();
    if (!parameters.encodings?.length) return;
    adjust(parameters, sender.track, this.#options);
    const options = { encodingOptions: parameters.encodings.map(() => ({ keyFrame })) };
    await sender.setParameters(parameters, options).catch(() => {}); // the encoder keeps to its own choice
  }
}
