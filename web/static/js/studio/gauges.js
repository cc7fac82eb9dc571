// @ts-check
// Figures and warnings while the broadcast is on the air. Hooks: #gauges [data-testid=gauge-NAME], #uptime, #health,
// #arrival.
import { requestJSON, streamURL } from "../api.js";
import { byId, h, note, setText } from "../dom.js";
import { pathInWords } from "../explain.js";
import { bitrate, codecs, milliseconds, number, percent, since, size } from "../format.js";
import { onLanguage, t } from "../i18n.js";
import { drawArrival } from "./arrival.js";
import { Health } from "./health.js";

/** @import { TokenSource } from "../api.js" */
/** @import { Broadcaster } from "../broadcaster.js" */
/** @import { WordKey } from "../i18n.js" */
/** @import { OutboundStats } from "../stats.js" */
/** @import { StudioModel } from "./model.js" */

const lookEvery = 1000; // milliseconds
const serverEvery = 5; // looks

/** @type {{ key: string, label: WordKey, read: (stats: OutboundStats) => string }[]} */
const figures = [
  { key: "bitrate", label: "stats.bitrate", read: (s) => bitrate(s.bitrate) },
  { key: "resolution", label: "stats.resolution", read: (s) => size(s) },
  { key: "fps", label: "stats.fps", read: (s) => (s.fps ? number(s.fps) : "") },
  { key: "rtt", label: "stats.rtt", read: (s) => (s.rtt === undefined ? "" : milliseconds(s.rtt * 1000)) },
  { key: "loss", label: "stats.loss", read: (s) => percent(s.loss) },
  { key: "codec", label: "stats.codec", read: (s) => codecs(...s.codecs) },
  { key: "path", label: "stats.path", read: (s) => pathInWords(s.path) },
];

export class Gauges {
  #model;
  #broadcaster;
  #token;
  /** @type {number | undefined} */
  #timer;
  #looks = 0;
  /** @type {OutboundStats | undefined} */
  #stats;
  #health = new Health();
  /** @type {API.LayerHealth[] | undefined} */
  #layers;
  #drawn = ""; // the warnings on the page: they are not to be read out again
  #rows;

  /**
   * @param {StudioModel} model
   * @param {Broadcaster} broadcaster
   * @param {TokenSource} token
   */
  constructor(model, broadcaster, token) {
    this.#model = model;
    this.#broadcaster = broadcaster;
    this.#token = token;
    this.#rows = [
      makeRow("viewers", "studio.viewers", () => number(model.state.stream?.viewers ?? 0)),
      ...figures.map(({ key, label, read }) => makeRow(key, label, () => (this.#stats ? read(this.#stats) : ""))),
    ];
    byId("gauges").append(...this.#rows.map((row) => h("div", {}, row.name, row.value)));
    model.addEventListener("change", () => this.#follow());
    onLanguage(() => {
      for (const row of this.#rows) setText(row.name, t(row.label));
      this.#draw();
    });
  }

  #follow() {
    const live = this.#model.state.broadcast === "live";
    if (live && this.#timer === undefined) {
      this.#looks = 0;
      this.#timer = setInterval(() => this.#look(), lookEvery);
      this.#look();
    } else if (!live && this.#timer !== undefined) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#stats = undefined;
      this.#health = new Health();
      this.#layers = undefined;
    }
    this.#draw();
  }

  async #look() {
    const health = this.#health;
    const stats = await this.#broadcaster.stats();
    if (this.#timer === undefined) return;
    this.#stats = stats;
    health.look(stats);
    if (this.#looks++ % serverEvery === 1) {
      const said = await this.#ask();
      health.heard(said?.warnings ?? []);
      if (this.#timer !== undefined) this.#layers = said?.layers;
    }
    this.#draw();
  }

  async #ask() {
    try {
      const url = streamURL(location.origin, this.#model.name, "/health");
      /** @type {API.Health} */
      const said = await requestJSON(url, { token: this.#token });
      return said;
    } catch {
      return undefined;
    }
  }

  #draw() {
    const { stream } = this.#model.state;
    for (const { read, value } of this.#rows) setText(value, read() || "–");
    setText(byId("uptime"), this.#timer === undefined ? "" : since(stream?.startedAt));
    drawArrival(byId("arrival"), this.#layers);
    const lines = this.#health.lines();
    const text = lines.join("\n");
    if (this.#drawn === text) return;
    this.#drawn = text;
    byId("health").replaceChildren(...lines.map((line) => note("warn", line)));
  }
}

/**
 * @param {string} key
 * @param {WordKey} label
 * @param {() => string} read
 */
function makeRow(key, label, read) {
  return { label, read, name: h("dt"), value: h("dd", { "data-testid": `gauge-${key}` }, "–") };
}
