// A viewer of one stream that keeps itself alive: it waits, connects, reconnects and continues by itself.
import { Problem } from "./api.js";
import { Feed } from "./feed.js";
import { stereoOpus } from "./sdp.js";
import { onHangUp, open } from "./session.js";
import { inbound, Rates } from "./stats.js";

const connectTime = 12000; // milliseconds from the answer to the first media
const stallTime = 5000; // live, connected, and nothing decoded
const longestWait = 15000;
const fatal = new Set([400, 401, 403, 404, 405, 415, 422]);

// Receiver plays stream into video. States: idle, connecting, live, interrupted, reconnecting, waiting, ended, error.
// It dispatches "state" and "info" (what the server says of the stream); failure is {stage, problem} in state error.
export class Receiver extends EventTarget {
  state = "idle";
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
  #rates = new Rates();

  constructor(video, { stream, server = location.origin, token } = {}) {
    super();
    this.#video = video;
    this.#options = { stream, server, token };
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
    if (this.state === "live") this.#lost("network");
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
      if (this.state === "interrupted") this.#set("live");
    } else if (info?.status === "interrupted" && this.state === "live") {
      this.#set("interrupted");
    } else if (gone && (this.state === "live" || this.state === "interrupted")) {
      this.#lost("ended");
    }
  }

  async #run() {
    let failures = 0;
    while (this.#running) {
      if (!["waiting", "ended"].includes(this.state)) this.#set(this.#seen ? "reconnecting" : "connecting");
      let wait = 0;
      try {
        const reason = await this.#watch();
        failures = 0;
        if (!this.#running) return;
        if (reason === "ended") {
          this.#set("ended");
          wait = 30000;
        } else {
          this.#set("reconnecting");
          wait = reason === "network" || reason === "again" ? 0 : 300;
        }
      } catch (error) {
        if (!this.#running) return;
        const problem = error instanceof Problem ? error : new Problem(-1, error.message);
        failures++;
        if (problem.status === 409) {
          failures = 0;
          this.#set(this.#seen ? "ended" : "waiting");
          wait = Math.min(Math.max((problem.retryAfter ?? 5) * 1000, 2000), 30000);
        } else if (fatal.has(problem.status)) {
          this.#set("error", { stage: error.stage ?? "offer", problem });
          wait = Infinity;
        } else {
          const { stage = "offer" } = error;
          if (this.#seen) this.#set("reconnecting");
          else if (failures > (stage === "offer" ? 3 : 1)) this.#set("error", { stage, problem });
          wait = problem.retryAfter ? problem.retryAfter * 1000 : Math.min(500 * 2 ** failures, longestWait) * (0.7 + 0.6 * Math.random());
        }
      }
      await this.#sleep(wait);
      if (this.state === "error") this.#set(this.#seen ? "reconnecting" : "connecting");
    }
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

  // #watch opens one session and resolves with why it was lost. It rejects when there never was media.
  async #watch() {
    const { stream, server, token } = this.#options;
    this.#abort = new AbortController();
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.#pc = pc;
    let stage = "offer";
    let session;
    try {
      pc.addTransceiver("audio", { direction: "recvonly" });
      pc.addTransceiver("video", { direction: "recvonly" });
      const endpoint = new URL(`/whep/${encodeURIComponent(stream)}`, server).href;
      session = await open(pc, endpoint, { token, edit: stereoOpus, signal: this.#abort.signal });
      this.#session = session;
      stage = "connect";
      const lost = new Promise((resolve) => { this.#lost = resolve; });
      pc.addEventListener("connectionstatechange", () => {
        if (pc.connectionState === "connected") stage = "media";
        if (pc.connectionState === "failed" || pc.connectionState === "closed") this.#lost("failed");
      });
      onHangUp(pc, () => this.#pc === pc && this.#lost("hung up"));
      const early = await Promise.race([this.#firstMedia(pc), lost]);
      if (early) {
        if (early === "stopped" || early === "again" || early === "network" || early === "ended") return early;
        throw new Problem(-1, early);
      }
      this.#seen = true;
      this.#set(this.info?.status === "interrupted" ? "interrupted" : "live");
      const watchdog = this.#watchStalls(pc);
      const reason = await lost.finally(() => clearInterval(watchdog));
      if (reason === "hung up") session.abandon(); // the server has nothing left to delete
      return reason;
    } catch (error) {
      error.stage = stage;
      throw error;
    } finally {
      session?.close();
      if (!session) pc.close();
      if (this.#pc === pc) this.#pc = undefined;
    }
  }

  // #firstMedia resolves with nothing when it plays, or with the reason why it does not.
  #firstMedia(pc) {
    const tracks = pc.getTransceivers().filter((tr) => tr.currentDirection === "recvonly").map((tr) => tr.receiver.track);
    const leader = tracks.find((track) => track.kind === "video") ?? tracks[0];
    const video = this.#video;
    return new Promise((resolve) => {
      if (!leader) {
        resolve("no tracks");
        return;
      }
      const timer = setTimeout(() => resolve("timeout"), connectTime);
      const done = () => {
        clearTimeout(timer);
        video.removeEventListener("loadeddata", done);
        resolve();
      };
      // The picture of before stays on the screen until packets of the new session are here.
      const show = () => {
        if (this.#pc !== pc) return;
        video.addEventListener("loadeddata", done);
        video.srcObject = new MediaStream(tracks);
        this.play();
      };
      if (leader.muted) leader.addEventListener("unmute", show, { once: true });
      else show();
    });
  }

  // #watchStalls gives up a session that is connected but decodes nothing while the stream is live.
  #watchStalls(pc) {
    let frames = -1;
    let since = performance.now();
    return setInterval(async () => {
      if (pc.connectionState === "closed") return;
      let now = 0;
      for (const report of (await pc.getStats()).values()) {
        if (report.type === "inbound-rtp") now += report.packetsReceived ?? 0;
      }
      if (now !== frames || this.state !== "live" || document.hidden) {
        frames = now;
        since = performance.now();
      } else if (performance.now() - since > stallTime) {
        this.#lost("stalled");
      }
    }, 1000);
  }
}
