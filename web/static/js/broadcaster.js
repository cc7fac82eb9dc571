// A broadcaster's side that keeps itself alive: after a loss it publishes again with the same token and takes its own stream over.
import { Problem, requestJSON, streamURL } from "./api.js";
import { askICE, transportPolicy } from "./ice.js";
import { fullReport, Route } from "./route.js";
import { startBitrate, stereoOpus } from "./sdp.js";
import { onHangUp, open } from "./session.js";
import { outbound, Rates } from "./stats.js";

const connectTime = 12000; // milliseconds
const patience = 4000; // "disconnected" often heals by itself
const longestWait = 30000;
const keyframeEvery = 4000; // browsers make key frames only when asked; previews and new viewers live on them
const firstBitrate = 1_200_000; // bits a second, until the browser has measured
const preferred = ["video/h264", "video/vp8", "video/vp9", "video/av1"];
const final = new Set([400, 401, 403, 404, 409, 413, 415, 422]);

// Broadcaster dispatches "state" (idle, connecting, live, reconnecting, error) and "step" (detail: {name, done}).
// In state error, failure is {stage, problem}. In the others it may tell why the last attempt failed, with more to it: cause, tried, code and report as a
// Receiver has them, and retryAt, on Date.now()'s clock, 0 while the next attempt is under way.
export class Broadcaster extends EventTarget {
  state = "idle";
  failure;
  #options;
  #stream;
  #pc;
  #session;
  #abort;
  #wasLive = false;
  #rates; // of the present session
  #attempts = 0; // that failed on their way
  #lost = () => {};
  #wake = () => {};
  #run; // the start() that counts; another one, or none, ends the one before

  // bitrate is the bound of the video, in bits a second; relay a wish as in ice.js.
  // store is awaited once, after the offer is made and before it is sent.
  async start(stream, { server = location.origin, name, token, bitrate, store, relay = "" }) {
    this.#stream = stream;
    this.#options = { endpoint: new URL(`/whip/${encodeURIComponent(name)}`, server).href, status: streamURL(server, name), server, name, token, bitrate, store, relay };
    const run = {};
    this.#run = run;
    let failures = 0;
    this.#attempts = 0;
    this.#wasLive = false;
    while (this.#run === run) {
      this.#set(this.#wasLive ? "reconnecting" : "connecting", failures ? { ...this.failure, retryAt: 0 } : undefined);
      try {
        await this.#publish(() => {
          failures = 0;
          this.#wasLive = true;
          this.#set("live");
        });
        if (this.#run === run && (await this.#overElsewhere()) && this.#run === run) {
          this.#run = undefined;
          this.#set("error", { stage: "ended", problem: new Problem(-1, "ended elsewhere") });
          return;
        }
      } catch (error) {
        if (this.#run !== run) return;
        const { stage, problem } = error;
        if (final.has(problem.status) || (!this.#wasLive && problem.status < 0 && stage !== "connected")) {
          this.#run = undefined;
          this.#set("error", error);
          return;
        }
        failures++;
        const wait = problem.retryAfter ? problem.retryAfter * 1000 : Math.min(500 * 2 ** failures, longestWait);
        this.#set(this.#wasLive ? "reconnecting" : "connecting", { ...error, retryAt: Date.now() + wait });
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
    this.#wake();
  }

  // replace goes on with other tracks in the same session; it tells whether that could be done.
  async replace(stream, bitrate) {
    const transceivers = this.#pc?.getTransceivers() ?? [];
    const pairs = ["audio", "video"].map((kind) => [
      stream.getTracks().find((track) => track.kind === kind),
      transceivers.find((transceiver) => transceiver.receiver.track.kind === kind),
    ]);
    if (pairs.some(([track, transceiver]) => Boolean(track) !== Boolean(transceiver))) return false;
    for (const [track, transceiver] of pairs) await transceiver?.sender.replaceTrack(track);
    this.#stream = stream;
    this.#options.bitrate = bitrate;
    await this.#bound(this.#pc);
    return true;
  }

  async stats() {
    return this.#pc ? outbound(await this.#pc.getStats(), this.#rates) : undefined;
  }

  #set(state, failure) {
    if (state === this.state && !failure) return;
    this.state = state;
    this.failure = failure;
    this.dispatchEvent(new Event("state"));
  }

  #step(name, done = false) {
    this.dispatchEvent(new CustomEvent("step", { detail: { name, done } }));
  }

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

  // #overElsewhere tells, after a loss, whether the broadcast was ended by someone or goes on from another page:
  // then coming back would be a quarrel. A server that is away, or waits for us, gets us back.
  async #overElsewhere() {
    for (let look = 0; look < 2; look++) {
      if (look) await this.#sleep(3000); // the server takes 2 s to notice that nothing comes
      try {
        const { status } = await requestJSON(this.#options.status, { token: this.#options.token, timeout: 3000 });
        if (status !== "live") return status === "offline";
      } catch (error) {
        return error.status === 404;
      }
    }
    return true;
  }

  // #publish opens one session and resolves when it is lost; it rejects with {stage, problem, cause, ...} when it never was connected.
  async #publish(connected) {
    this.#abort = new AbortController();
    this.#step("peer");
    const { server, token, relay } = this.#options;
    const ice = relay || this.#attempts ? askICE(server, this.#abort.signal) : undefined; // else those of the answer do
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceTransportPolicy: transportPolicy(relay) });
    this.#pc = pc;
    this.#rates = new Rates();
    const route = new Route(pc);
    const begin = (name) => {
      route.mark(name);
      this.#step(name);
    };
    let stage = "peer";
    let session;
    try {
      for (const track of this.#stream.getTracks()) {
        const transceiver = pc.addTransceiver(track, { direction: "sendonly", streams: [this.#stream] });
        if (track.kind === "video") prefer(transceiver);
      }
      this.#step("peer", true);
      stage = "offer";
      begin("offer");
      session = await open(pc, this.#options.endpoint, {
        token, signal: this.#abort.signal, ice, relay,
        edit: (sdp) => stereoOpus(sdp, ";maxaveragebitrate=128000"),
        editAnswer: (sdp) => startBitrate(sdp, Math.min(firstBitrate, this.#options.bitrate) / 1000),
        step: async (name) => {
          if (name === "offer") {
            this.#step("offer", true);
            stage = "stored";
            await this.#store();
          } else if (name === "sent") {
            stage = "signalling";
            begin("signalling");
          } else if (name === "answered") {
            this.#step("signalling", true);
            route.mark("answer");
          } else {
            this.#step("answer", true);
          }
        },
      });
      this.#session = session;
      stage = "connected";
      this.#step("connected");
      await this.#bound(pc);
      const lost = this.#lostOf(pc);
      await this.#connectedOf(pc, lost);
      this.#step("connected", true);
      if (this.#pc === pc) connected();
      const timer = setInterval(() => this.#bound(pc, true), keyframeEvery);
      await lost.finally(() => clearInterval(timer));
    } catch (error) {
      throw await this.#explained(error, stage, route);
    } finally {
      // Before it ever was live it is ended; later the next session takes the broadcast over, and viewers stay.
      if (this.#wasLive) session?.abandon();
      else session?.close();
      if (!session) pc.close();
      if (this.#pc === pc) this.#pc = undefined;
    }
  }

  // #explained gathers what is to be told of a failed attempt while its connection is still there to be asked.
  async #explained(error, stage, route) {
    const { server, name } = this.#options;
    const problem = error instanceof Problem ? error : new Problem(-1, error.message);
    if (stage !== "connected") return { stage, problem };
    const secured = route.reached("ice connected") || route.reached("ice completed");
    const verdict = route.verdict(secured ? "secure" : "connect");
    const lines = await route.report();
    return { stage, problem, ...verdict, report: fullReport({ what: verdict.cause, stage, problem, server, stream: name, attempt: ++this.#attempts, lines }) };
  }

  #lostOf(pc) {
    return new Promise((resolve) => {
      this.#lost = resolve;
      onHangUp(pc, resolve);
      let timer;
      pc.addEventListener("connectionstatechange", () => {
        clearTimeout(timer);
        if (pc.connectionState === "failed" || pc.connectionState === "closed") resolve();
        if (pc.connectionState === "disconnected") timer = setTimeout(resolve, patience);
      });
    });
  }

  #connectedOf(pc, lost) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Problem(-1, "timeout")), connectTime);
      const look = () => {
        if (pc.connectionState !== "connected") return;
        clearTimeout(timer);
        resolve();
      };
      pc.addEventListener("connectionstatechange", look);
      lost.then(() => {
        clearTimeout(timer);
        reject(new Problem(-1, "failed"));
      });
      look();
    });
  }

  // #bound keeps the encoder within what the broadcaster chose, and asks it for a key frame, where the browser can.
  async #bound(pc, keyFrame = false) {
    const sender = pc.getSenders().find((each) => each.track?.kind === "video");
    if (!sender) return;
    const parameters = sender.getParameters();
    if (!parameters.encodings?.length) return;
    parameters.encodings[0].maxBitrate = this.#options.bitrate;
    parameters.degradationPreference = sender.track.contentHint === "detail" ? "maintain-resolution" : "maintain-framerate";
    const options = { encodingOptions: parameters.encodings.map(() => ({ keyFrame })) };
    await sender.setParameters(parameters, options).catch(() => {}); // the encoder's own choice, then
  }
}

// prefer puts the codecs that every viewer can play first.
function prefer(transceiver) {
  const codecs = RTCRtpSender.getCapabilities?.("video")?.codecs;
  if (!codecs || !transceiver.setCodecPreferences) return;
  const rank = (codec) => {
    const i = preferred.indexOf(codec.mimeType.toLowerCase());
    return i < 0 ? preferred.length : i;
  };
  const usable = codecs.filter((codec) => !/packetization-mode=0/.test(codec.sdpFmtpLine ?? "") && !/red|ulpfec|flexfec/i.test(codec.mimeType));
  try {
    transceiver.setCodecPreferences(usable.sort((a, b) => rank(a) - rank(b)));
  } catch {
    // The browser's own order is fine as well.
  }
}
