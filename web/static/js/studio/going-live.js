// @ts-check
// The broadcast: on the air, kept there, and off it again.
import { Problem, requestJSON, streamURL } from "../api.js";
import { Broadcaster } from "../broadcaster.js";
import { Feed } from "../feed.js";
import { t } from "../i18n.js";
import { watchLink } from "./links.js";
import { refusalInWords } from "./refusals.js";

/** @import { TokenSource } from "../api.js" */
/** @import { BroadcastStep } from "../broadcaster.js" */
/** @import { RelayChoice } from "../ice.js" */
/** @import { StudioModel } from "./model.js" */
/** @import { Steps } from "./steps.js" */

const savePause = 800; // milliseconds of no typing, after which a title is stored
const conflict = 409; // the status when somebody else has the stream live

export class GoingLive {
  broadcaster = new Broadcaster();
  #model;
  #steps;
  #token;
  #relay;
  #codec;
  #stored;
  /** @type {Feed | undefined} */
  #feed;
  /** @type {number | undefined} */
  #saving;

  /**
   * @param {StudioModel} model
   * @param {Steps} steps
   * @param {TokenSource} token
   * @param {object} options
   * @param {RelayChoice} options.relay
   * @param {string} options.codec of the video, empty for the usual ones
   * @param {(name: string) => void} options.stored is told of a name that the server keeps from now on
   */
  constructor(model, steps, token, { relay, codec, stored }) {
    this.#model = model;
    this.#steps = steps;
    this.#token = token;
    this.#relay = relay;
    this.#codec = codec;
    this.#stored = stored;
    this.broadcaster.addEventListener("step", (event) => {
      const { name, done } = /** @type {CustomEvent<{ name: BroadcastStep, done: boolean }>} */ (event).detail;
      this.#step(name, done);
    });
    this.broadcaster.addEventListener("state", () => this.#changed());
  }

  /** @param {MediaStream} media */
  start(media) {
    this.#steps.reset("peer");
    this.#model.set({ stream: undefined });
    this.#publish(media);
  }

  /**
   * replace goes on with other media, in a new session where the present one cannot carry it.
   * @param {MediaStream} media
   */
  async replace(media) {
    if (!(await this.broadcaster.replace(media, this.#model.video))) this.#publish(media);
    if (this.#model.hasViewers) this.#steps.done("seen");
    else this.#steps.begin("seen");
  }

  stop() {
    this.broadcaster.stop();
    this.#feed?.close();
    this.#model.set({ stream: undefined });
    this.#steps.reset("peer");
    this.#model.say(undefined);
  }

  /** leave ends the broadcast while the page is being left. */
  leave() {
    this.#feed?.close();
    this.broadcaster.stop();
  }

  /** endOther ends the broadcast that has the name, and reports whether that worked. */
  async endOther() {
    try {
      await requestJSON(this.#url("/broadcast"), { method: "DELETE", token: this.#token });
      return true;
    } catch (error) {
      const problem = Problem.from(error);
      this.#model.say({ kind: "bad", text: () => refusalInWords({ problem }) });
      return false;
    }
  }

  /** saveTitle stores a title that was changed on the air, when nothing more is typed. */
  saveTitle() {
    clearTimeout(this.#saving);
    if (!this.#model.onAir) return;
    this.#saving = setTimeout(() => this.#patch({ title: this.#model.state.title.trim() }).catch(() => {}), savePause);
  }

  #url(rest = "") {
    return streamURL(location.origin, this.#model.name, rest);
  }

  /** @param {{ title: string, visibility?: API.Visibility }} change */
  #patch(change) {
    return requestJSON(this.#url(), { method: "PATCH", token: this.#token, json: change });
  }

  /** @param {MediaStream} media */
  #publish(media) {
    this.broadcaster.stop();
    const { name, video } = this.#model;
    const store = () => this.#store();
    this.broadcaster.start(media, {
      name, token: this.#token, ...video, codec: this.#codec, store, relay: this.#relay,
    });
  }

  /** #store writes down what the stream is about before it is live, so that its card has a title from the start. */
  async #store() {
    const { title, visibility } = this.#model.state;
    await this.#patch({ title: title.trim(), visibility });
    this.#model.set({ storedName: this.#model.name });
    this.#stored(this.#model.name);
    await this.#share();
    this.#follow(); // now that the server knows who may
  }

  async #share() {
    const { name, state } = this.#model;
    let token = "";
    if (state.visibility === "private") {
      const options = { method: "POST", token: this.#token, json: { scope: "watch" } };
      /** @type {API.Key} */
      const key = await requestJSON(this.#url("/keys"), options);
      token = key.token;
    }
    this.#model.set({ link: watchLink(location.origin, name, token) });
  }

  #follow() {
    this.#feed?.close();
    const { name, state } = this.#model;
    const feed = new Feed({ stream: name, token: state.visibility === "private" ? this.#token : "" });
    feed.on("snapshot", (streams) => this.#take(streams.find((stream) => stream.name === name)));
    feed.on("stream", (stream) => stream.name === name && this.#take(stream));
    feed.on("gone", (gone) => gone === name && this.#take(undefined));
    feed.start();
    this.#feed = feed;
  }

  /** @param {API.Stream | undefined} stream */
  #take(stream) {
    this.#model.set({ stream });
    this.#lookForViewers();
  }

  #lookForViewers() {
    const { state, hasViewers } = this.#model;
    if (hasViewers && state.broadcast === "live" && this.#steps.get("seen").state !== "done") this.#steps.done("seen");
  }

  /**
   * @param {BroadcastStep} name
   * @param {boolean} done
   */
  #step(name, done) {
    if (!done) {
      this.#steps.begin(name);
      return;
    }
    this.#steps.done(name);
    if (name === "signalling") this.#steps.begin("answer");
    if (name === "connected") this.#steps.begin("seen");
  }

  #changed() {
    const { state, failure } = this.broadcaster;
    this.#model.set({ broadcast: state, stopAsked: false });
    if (state === "live") this.#model.say(undefined);
    this.#lookForViewers();
    if (!failure) return;
    this.#steps.fail(failure.cause ? t(`failure.${failure.cause}`) : refusalInWords(failure));
    this.#model.say({ kind: state === "error" ? "bad" : "warn", text: () => refusalInWords(failure) }, failure);
    if (state === "error") this.#feed?.close();
    this.#model.set({ mayEndOther: failure.problem.status === conflict });
  }
}
