// @ts-check
// The broadcasts, each with its plots, its health, what can be done about it, and its viewers.
import { Problem } from "../api.js";
import { h, note, setText } from "../dom.js";
import { bitrate, milliseconds, number, percent, since } from "../format.js";
import { t } from "../i18n.js";
import { warningsInWords } from "../studio/health.js";
import { refusalInWords } from "../studio/refusals.js";
import { endBroadcast, rename, renewKeys, turnPrivate } from "./actions.js";
import { Plot } from "./plot.js";
import { incoming } from "./sums.js";
import { ViewerTable } from "./viewer-table.js";

/** @import { WordKey } from "../i18n.js" */

const badLoss = 0.05; // share

export class Casts {
  #place;
  #token;
  #again;
  /** @type {Map<string, Cast>} */
  #shown = new Map();

  /**
   * @param {HTMLElement} place
   * @param {() => string} token
   * @param {() => void} again looks at what has become of something
   */
  constructor(place, token, again) {
    this.#place = place;
    this.#token = token;
    this.#again = again;
  }

  /** @param {API.AdminBroadcast[]} broadcasts */
  draw(broadcasts) {
    const now = new Map();
    for (const b of broadcasts) {
      const cast = this.#shown.get(b.name) ?? new Cast(b, this.#token, this.#again);
      cast.draw(b);
      now.set(b.name, cast);
    }
    for (const [name, cast] of this.#shown) if (!now.has(name)) cast.element.remove();
    let before = null;
    for (const { element } of now.values()) { // what stays in its place keeps the focus
      const place = before ? before.nextElementSibling : this.#place.firstElementChild;
      if (place !== element) this.#place.insertBefore(element, place);
      before = element;
    }
    this.#shown = now;
  }

  /**
   * sample adds a point to the plots.
   * @param {API.AdminBroadcast[]} broadcasts
   */
  sample(broadcasts) {
    for (const b of broadcasts) this.#shown.get(b.name)?.sample(b);
  }
}

class Cast {
  element;
  #broadcast;
  #title = h("a");
  #badge = h("span", { class: "badge" });
  #private = h("span", { class: "badge off" });
  #facts = h("p", { class: "cast-facts soft numbers" });
  #health = h("div", { class: "cast-health", role: "status" });
  #said = h("div", { role: "alert" });
  #drawn = "";
  #plots = {
    bitrate: new Plot("bitrate"), viewers: new Plot("viewers", { least: 4 }),
    loss: new Plot("loss", { least: 0.02, bad: badLoss }),
  };
  #table;
  /** @type {{ button: HTMLButtonElement, word: () => WordKey }[]} */
  #buttons;
  #toggle;
  #again;

  /**
   * @param {API.AdminBroadcast} broadcast
   * @param {() => string} token
   * @param {() => void} again
   */
  constructor(broadcast, token, again) {
    this.#broadcast = broadcast;
    this.#again = again;
    this.#table = new ViewerTable(broadcast.name, token, (error) => this.#say(error));
    this.#toggle = h("button", { class: "button", type: "button", "data-do": "viewers", click: () => this.#open() });
    const act = (/** @type {(b: API.AdminBroadcast, token: () => string) => Promise<void>} */ work) => async () => {
      try {
        this.#said.replaceChildren();
        await work(this.#broadcast, token);
      } catch (error) {
        this.#say(error);
      }
      again();
    };
    const button = (/** @type {string} */ id, /** @type {() => void} */ click, /** @type {() => WordKey} */ word) =>
      ({ button: h("button", { class: "button quiet", type: "button", "data-do": id, click }), word });
    this.#buttons = [
      button("rename", act(rename), () => "admin.rename"),
      button("private", act(turnPrivate), () => (this.#isPrivate ? "admin.public" : "admin.private")),
      button("keys", act(renewKeys), () => "admin.keys"),
      button("end", act(endBroadcast), () => "admin.end"),
    ];
    this.element = h("article", { class: "sheet cast", "data-stream": broadcast.name },
      h("div", { class: "cast-head" }, h("h3", {}, this.#title), this.#badge, this.#private),
      this.#facts,
      h("div", { class: "plots" }, ...Object.values(this.#plots).map(({ element }) => element)),
      this.#health, this.#said,
      h("div", { class: "buttons" }, this.#toggle, ...this.#buttons.map((b) => b.button)),
      this.#table.element);
  }

  get #isPrivate() {
    return this.#broadcast.visibility === "private";
  }

  #open() {
    this.#table.toggle();
    this.draw(this.#broadcast);
  }

  /** @param {unknown} error */
  #say(error) {
    const problem = Problem.from(error);
    const unknown = problem.code === "unidentified";
    this.#said.replaceChildren(note("bad", unknown ? t("admin.unidentified") : refusalInWords({ problem })));
    this.#again();
  }

  /** @param {API.AdminBroadcast} b */
  sample(b) {
    this.#plots.viewers.push(b.viewers);
    this.#plots.bitrate.push(incoming(b.health));
    this.#plots.loss.push(b.audience?.loss ?? 0);
    this.#table.look();
  }

  /** @param {API.AdminBroadcast} b */
  draw(b) {
    this.#broadcast = b;
    setText(this.#title, b.title || b.name);
    this.#title.href = `/watch/${encodeURIComponent(b.name)}`;
    this.#badge.className = `badge ${b.status === "live" ? "" : "hold"}`;
    setText(this.#badge, t(b.status === "live" ? "live" : "interrupted"));
    this.#private.hidden = !this.#isPrivate;
    setText(this.#private, t("admin.isPrivate"));
    setText(this.#facts, factsOf(b).filter(Boolean).join(" · "));
    this.#plots.bitrate.draw(t("stats.bitrate"), bitrate(incoming(b.health)));
    this.#plots.viewers.draw(t("admin.viewers"), number(b.viewers));
    this.#plots.loss.draw(t("admin.loss"), percent(b.audience?.loss ?? 0));
    for (const { button, word } of this.#buttons) {
      const text = t(word());
      setText(button, text);
      button.setAttribute("aria-label", `${text}: ${b.title || b.name}`);
      button.hidden = !b.audience && button.dataset.do === "end";
    }
    this.#toggle.hidden = !b.audience;
    this.#toggle.setAttribute("aria-expanded", String(this.#table.open));
    setText(this.#toggle, t("admin.viewers"));
    this.#toggle.setAttribute("aria-label", `${t("admin.viewers")}: ${b.title || b.name}`);
    if (this.#table.open) this.#table.words();
    this.#drawHealth(b);
  }

  /** @param {API.AdminBroadcast} b */
  #drawHealth(b) {
    const lines = warningsInWords(b.health?.warnings ?? []);
    if ((b.audience?.loss ?? 0) >= badLoss) lines.push(t("admin.lossy", { share: percent(b.audience?.loss ?? 0) }));
    const text = b.audience ? lines.join("\n") || t("admin.well") : t("admin.elsewhere", { node: b.node });
    if (text === this.#drawn) return; // it is not to be read out again
    this.#drawn = text;
    this.#health.replaceChildren(...(lines.length ? lines.map((line) => note("warn", line)) : [h("p", {}, text)]));
  }
}

/** @param {API.AdminBroadcast} b */
function factsOf(b) {
  const { audience } = b;
  return [
    b.name, since(b.startedAt), b.publisher, b.health?.transport,
    b.peak ? t("admin.peak", { n: number(b.peak) }) : "", b.total ? t("admin.total", { n: number(b.total) }) : "",
    b.maxViewers ? t("admin.most", { n: number(b.maxViewers) }) : "",
    audience?.children ? t("admin.children", { n: number(audience.children) }) : "",
    audience?.roundTrip ? `${t("stats.rtt")} ${milliseconds(audience.roundTrip * 1000)}` : "",
  ];
}
