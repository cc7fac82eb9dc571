// @ts-check
// How well a broadcast does that comes from another program, such as OBS. Hooks: #encoder, #encoder-facts,
// #encoder-health, #encoder-arrival.
import { Problem, requestJSON, streamURL } from "../api.js";
import { byId, note, setText } from "../dom.js";
import { Feed } from "../feed.js";
import { since, viewers } from "../format.js";
import { onLanguage, t } from "../i18n.js";
import { drawArrival } from "./arrival.js";
import { warningsInWords } from "./health.js";

/** @import { TokenSource } from "../api.js" */
/** @import { StudioModel } from "./model.js" */

// All in milliseconds.
const tickEvery = 1000;
const askEvery = 5000;

const refusals = new Set([401, 403, 404]); // it is somebody else's broadcast

/** EncoderHealth watches the stream whose name is in the form, if the server knows it, while this page is not live. */
export class EncoderHealth {
  #model;
  #token;
  #watched = ""; // the name of the stream
  /** @type {Feed | undefined} */
  #feed;
  /** @type {API.Stream | undefined} */
  #stream; // while it is live
  /** @type {API.Health | undefined} */
  #health; // undefined before the server has said, and when it refuses to
  #askedAt = -Infinity;
  #drawn = ""; // the warnings on the page: they are not to be read out again

  /**
   * @param {StudioModel} model
   * @param {TokenSource} token
   */
  constructor(model, token) {
    this.#model = model;
    this.#token = token;
    model.addEventListener("change", () => this.#follow());
    addEventListener("pagehide", () => this.#feed?.close());
    addEventListener("pageshow", (event) => event.persisted && this.#feed?.start());
    onLanguage(() => this.#draw());
    setInterval(() => this.#tick(), tickEvery);
  }

  #follow() {
    const name = this.#model.mayHaveEncoder ? this.#model.name : "";
    if (name === this.#watched) return;
    this.#watched = name;
    this.#feed?.close();
    this.#feed = undefined;
    this.#take(undefined);
    if (!name) return;
    const feed = new Feed({ stream: name, token: this.#token, rests: true });
    feed.on("snapshot", (streams) => this.#take(streams.find((stream) => stream.name === name)));
    feed.on("stream", (stream) => stream.name === name && this.#take(stream));
    feed.on("gone", (gone) => gone === name && this.#take(undefined));
    feed.start();
    this.#feed = feed;
  }

  /** @param {API.Stream | undefined} stream */
  #take(stream) {
    this.#stream = stream?.status === "offline" ? undefined : stream;
    if (!this.#stream) {
      this.#health = undefined;
      this.#askedAt = -Infinity;
    }
    this.#tick();
  }

  #tick() {
    const now = performance.now();
    if (this.#stream && !document.hidden && now - this.#askedAt >= askEvery) {
      this.#askedAt = now;
      this.#ask();
    }
    this.#draw();
  }

  async #ask() {
    const name = this.#watched;
    /** @type {API.Health | undefined} */
    let health;
    try {
      health = await requestJSON(streamURL(location.origin, name, "/health"), { token: this.#token });
    } catch (error) {
      const refused = error instanceof Problem && refusals.has(error.status);
      health = refused ? undefined : this.#health;
    }
    if (name !== this.#watched || !this.#stream) return;
    this.#health = health;
    this.#draw();
  }

  #draw() {
    const stream = this.#health && this.#stream;
    byId("encoder").hidden = !stream;
    const facts = stream ? [viewers(stream.viewers), `${t("studio.uptime")} ${since(stream.startedAt)}`] : [];
    setText(byId("encoder-facts"), facts.join(" · "));
    drawArrival(byId("encoder-arrival"), stream && this.#health?.layers);
    const lines = stream ? warningsInWords(this.#health?.warnings ?? []) : [];
    const text = lines.join("\n");
    if (this.#drawn === text) return;
    this.#drawn = text;
    byId("encoder-health").replaceChildren(...lines.map((line) => note("warn", line)));
  }
}
