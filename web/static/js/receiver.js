// A viewer of one stream that keeps itself alive: it waits, connects, reconnects and continues by itself.
import { Problem } from "./api.js";
import { Feed } from "./feed.js";
import { askICE, transportPolicy } from "./ice.js";
import { fullReport, Route } from "./route.js";
import { stereoOpus } from "./sdp.js";
import { onHangUp, open } from "./session.js";
import { watchStalls } from "./stalls.js";
import { inbound, Rates, received } from "./stats.js";

// All in milliseconds.
const connectTime = 12000; // from the answer to a connection
const mediaTime = 5000; // connected, and no packet
const decodeTime = 10000; // packets, and no picture
const longestWait = 30000;
const fatal = new Set([400, 401, 403, 404, 405, 415, 422]);
const calm = new Set(["stopped", "again", "network", "ended"]); // reasons to stop connecting that are no failures

// Receiver plays stream into video. States: idle, connecting, live, interrupted, reconnecting, waiting, ended, error.
// It dispatches "state", "info" (what the server says of the stream) and, with stay, "elsewhere". In state error, failure is {stage, problem, cause, tried, code, report,
// retryAt}: cause, tried and code as Route.verdict gives them, report a text for the operator, retryAt the time of the next attempt on Date.now()'s
// clock (0 while that is under way, undefined when there is none).
// stage is how far the present attempt has come: offer, connect, secure, media, decode or play.
export class Receiver extends EventTarget {
  state = "idle";
  stage = "offer";
  stageSince = 0; // on performance.now()'s clock
  route; // of the present attempt
  info; // the stream as the API gives it, undefined when not live
  failure;
  blocked = false; // the browser wants a tap before it plays
  #video;
  #options;
  #feed;
  #running = false;
  #pc;
  #session;
  #abort;
  #lost = () => {};
  #wake = () => {};
  #seen = false; // was live before
  #failures = 0; // since then
  #relayed = false; // it came through a relay last time
  #rates; // of the present attempt

  // relay is a wish as in ice.js. stay: a stream that another server has live is not followed there.
  constructor(video, { stream, server = location.origin, token, relay = "", stay = false } = {}) {
    super();
    this.#video = video;
    this.#options = { stream, server, token, relay, stay };
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    this.#feed = new Feed({ ...this.#options, rests: true });
    this.#feed.addEventListener("snapshot", ({ detail }) => this.#know(detail.find((s) => s.name === this.#options.stream)));
    this.#feed.addEventListener("stream", ({ detail }) => detail.name === this.#options.stream && this.#know(detail));
    this.#feed.addEventListener("gone", ({ detail }) => detail === this.#options.stream && this.#know(undefined, true));
    this.#feed.start();
    this.#run();
  }

  stop() {
    this.#running = false;
    this.#feed?.close();
    this.#abort?.abort();
    this.#session?.close();
    this.#pc = undefined;
    this.#lost("stopped");
    this.#wake();
    this.#set("idle");
  }

  // again tries at once: for a button, or when the network has changed.
  again() {
    this.#wake();
    if (this.state === "interrupted" || this.state === "live") return;
    this.#lost("again");
  }

  networkChanged() {
    if (this.state !== "interrupted") this.#lost("network");
    this.#wake();
  }

  async play() {
    try {
      await this.#video.play();
      this.#block(false);
    } catch (error) {
      if (error.name === "NotAllowedError") this.#block(true);
    }
  }

  // reports are those of getStats(), none when there is no connection.
  async reports() {
    return this.#pc ? [...(await this.#pc.getStats()).values()] : [];
  }

  async stats() {
    return this.#pc ? inbound(await this.#pc.getStats(), this.#rates) : undefined;
  }

  #block(blocked) {
    if (this.blocked === blocked) return;
    this.blocked = blocked;
    this.dispatchEvent(new Event("state"));
  }

  #set(state, failure) {
    if (this.state === state && !failure) return;
    this.state = state;
    this.failure = failure;
    this.dispatchEvent(new Event("state"));
  }

  #know(said, gone = said?.status === "offline") {
    const info = gone ? undefined : said;
    const news = info?.status !== this.info?.status;
    this.info = info;
    this.dispatchEvent(new Event("info"));
    if (info?.status === "live") {
      if (news) this.#wake();
      if (this.state === "interrupted") this.#set(this.stage === "play" ? "live" : this.#seen ? "reconnecting" : "connecting");
    } else if (info?.status === "interrupted" && this.state === "live") {
      this.#set("interrupted");
    } else if (gone && (this.state === "live" || this.state === "interrupted")) {
      this.#lost("ended");
    }
  }

  #enter(stage) {
    this.stage = stage;
    this.stageSince = performance.now();
    this.route?.mark(stage);
  }

  async #run() {
    while (this.#running) {
      if (this.state === "error") this.#set("error", { ...this.failure, retryAt: 0 });
      else if (!["waiting", "ended"].includes(this.state)) this.#set(this.#seen ? "reconnecting" : "connecting");
      let wait = 0;
      try {
        const reason = await this.#watch();
        this.#failures = 0;
        if (!this.#running) return;
        if (reason === "ended") {
          this.#set("ended");
          wait = 30000;
        } else {
          this.#set("reconnecting");
          wait = calm.has(reason) ? 0 : 300;
        }
      } catch (error) {
        if (!this.#running) return;
        wait = this.#fail(error);
      }
      await this.#sleep(wait);
    }
  }

  // #fail shows what was the matter, unless it may well heal before anyone has read it, and gives the time to the next attempt.
  #fail({ stage, problem, verdict, report }) {
    if (problem.status === 409 || problem.status === 307) {
      this.#failures = 0;
      this.#set(this.#seen ? "ended" : "waiting");
      if (problem.status === 307) this.dispatchEvent(new Event("elsewhere"));
      return Math.min(Math.max((problem.retryAfter ?? 5) * 1000, 2000), 30000);
    }
    const n = ++this.#failures;
    const growing = Math.min(500 * 2 ** n, longestWait) * (0.7 + 0.6 * Math.random());
    const wait = fatal.has(problem.status) ? Infinity : problem.retryAfter ? problem.retryAfter * 1000 : growing;
    const patience = wait === Infinity ? 0 : stage !== "offer" && !this.#seen ? 0 : this.#seen ? 2 : 1;
    if (n > patience || this.state === "error") this.#set("error", { stage, problem, ...verdict, report, retryAt: wait === Infinity ? undefined : Math.round(Date.now() + wait) });
    else if (this.#seen) this.#set("reconnecting");
    return wait;
  }

  #sleep(milliseconds) {
    return new Promise((resolve) => {
      const timer = milliseconds === Infinity ? undefined : setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  // #watch opens one session and resolves with why it was lost. It rejects with {stage, problem, verdict, report} when there never was media.
  async #watch() {
    const { stream, server, token, relay, stay } = this.#options;
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    // With the answer's ICE servers a direct path mostly stands before the browser has bothered a relay. Who needs one begins earlier.
    const early = (relay || this.#failures || this.#relayed) && !["waiting", "ended"].includes(this.state);
    const ice = early ? askICE(server, signal) : undefined;
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceTransportPolicy: transportPolicy(relay) });
    this.#pc = pc;
    this.#rates = new Rates();
    this.route = new Route(pc);
    this.#enter("offer");
    let session;
    try {
      pc.addTransceiver("audio", { direction: "recvonly" });
      pc.addTransceiver("video", { direction: "recvonly" });
      const endpoint = new URL(`/whep/${encodeURIComponent(stream)}`, server).href;
      session = await open(pc, endpoint, { token, edit: stereoOpus, signal, ice, relay, redirect: stay ? "manual" : "follow" });
      this.#session = session;
      this.#enter("connect");
      const lost = new Promise((resolve) => { this.#lost = resolve; });
      pc.addEventListener("connectionstatechange", () => {
        if (pc.connectionState === "failed" || pc.connectionState === "closed") this.#lost("failed");
      });
      onHangUp(pc, () => this.#pc === pc && this.#lost("hung up"));
      const hitch = await Promise.race([this.#firstMedia(pc), lost]);
      if (calm.has(hitch)) return hitch;
      if (hitch) throw new Problem(-1, hitch);
      this.#enter("play");
      this.#seen = true;
      this.stats().then((stats) => { this.#relayed = stats?.path?.relayed ?? false; });
      this.#set(this.info?.status === "interrupted" ? "interrupted" : "live");
      const unwatch = watchStalls(pc, { live: () => this.state === "live", playing: () => !this.#video.paused }, () => this.#lost("stalled"));
      const reason = await lost.finally(unwatch);
      if (reason === "hung up") session.abandon(); // the server has nothing left to delete
      return reason;
    } catch (error) {
      throw await this.#explained(error, Boolean(session));
    } finally {
      session?.close();
      if (!session) pc.close();
      if (this.#pc === pc) this.#pc = undefined;
    }
  }

  // #explained gathers what is to be told of a failed attempt while its connection is still there to be asked.
  async #explained(error, answered) {
    const { stage, route } = this;
    const { stream, server } = this.#options;
    const problem = error instanceof Problem ? error : new Problem(-1, error.message);
    const verdict = answered ? route.verdict(stage) : {};
    const lines = await route.report();
    const report = fullReport({ what: verdict.cause ?? "no session", stage, problem, server, stream, attempt: this.#failures + 1, lines });
    return { stage, problem, verdict, report };
  }

  // #firstMedia resolves with nothing when it plays, or with the reason why it does not; it moves the stage on.
  #firstMedia(pc) {
    const tracks = pc.getTransceivers().filter((tr) => tr.currentDirection === "recvonly").map((tr) => tr.receiver.track);
    const leader = tracks.find((track) => track.kind === "video") ?? tracks[0];
    const video = this.#video;
    const { promise, resolve } = Promise.withResolvers();
    if (!leader) return Promise.resolve("no tracks");
    const done = () => resolve();
    const look = () => {
      if (this.stage === "connect" && ["connected", "completed"].includes(pc.iceConnectionState)) this.#enter("secure");
      if (["connect", "secure"].includes(this.stage) && pc.connectionState === "connected") this.#enter("media");
    };
    // The picture of before stays on the screen until packets of the new session are here.
    const show = async () => {
      look();
      if (this.#pc !== pc) return;
      this.#enter("decode");
      video.addEventListener("loadeddata", done);
      video.srcObject = new MediaStream(tracks);
      await this.play();
      if (this.blocked) done(); // the rest is for the one who watches
    };
    for (const name of ["iceconnectionstatechange", "connectionstatechange"]) pc.addEventListener(name, look);
    if (leader.muted) leader.addEventListener("unmute", show, { once: true });
    else show();
    const answered = performance.now();
    const timer = setInterval(async () => {
      look();
      const waited = performance.now() - this.stageSince;
      if (["connect", "secure"].includes(this.stage)) {
        if (performance.now() - answered > connectTime) resolve("timeout");
      } else if (this.info?.status === "interrupted") {
        this.stageSince = performance.now(); // nobody sends
        this.#set("interrupted");
      } else if (this.stage === "media" && waited > mediaTime) {
        if (received(await pc.getStats()).packets > 0) this.#enter("decode");
        else resolve("timeout");
      } else if (this.stage === "decode" && waited > decodeTime && !document.hidden) {
        resolve("timeout");
      }
    }, 200);
    return promise.finally(() => {
      clearInterval(timer);
      video.removeEventListener("loadeddata", done);
    });
  }
}
