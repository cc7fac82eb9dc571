// The ten steps of a broadcast as they happen. Hooks: [data-step=NAME][data-step-state=open|running|done|failed].
import { h, icon, setText } from "./dom.js";
import { number } from "./format.js";
import { onLanguage, t } from "./i18n.js";

export const stepNames = ["asked", "allowed", "preview", "peer", "offer", "stored", "signalling", "answer", "connected", "seen"];

const inWords = (ms) => (ms < 1000 ? `${number(ms)} ms` : `${number(ms / 1000, 1)} s`);

export class Steps {
  #rows = new Map();

  constructor(list) {
    for (const [i, name] of stepNames.entries()) {
      const row = {
        name, number: i + 1, state: "open",
        mark: h("span", { class: "step-mark", "aria-hidden": "true" }),
        text: h("span"), detail: h("small"), time: h("time"), said: h("span", { class: "hidden-text" }),
      };
      row.element = h("li", { class: "step", "data-step": name }, row.mark, h("div", {}, row.text, row.said, row.detail), row.time);
      list.append(row.element);
      this.#rows.set(name, row);
    }
    onLanguage(() => { for (const row of this.#rows.values()) this.#draw(row); });
  }

  // begin starts a step's clock; an earlier outcome is forgotten.
  begin(name) {
    this.#change(name, { state: "running", began: performance.now(), took: undefined, error: "" });
  }

  // done ends it. A step that was never begun has taken no time worth telling.
  done(name) {
    const row = this.#rows.get(name);
    this.#change(name, { state: "done", took: row.state === "running" ? performance.now() - row.began : row.took, error: "" });
  }

  // fail ends the named step, or the one that is running, with an error in plain words.
  fail(error, name = [...this.#rows.values()].findLast((row) => row.state === "running")?.name) {
    if (name) this.#change(name, { state: "failed", error });
  }

  // reset opens the named step and all after it.
  reset(name = stepNames[0]) {
    for (const later of stepNames.slice(stepNames.indexOf(name))) this.#change(later, { state: "open", took: undefined, error: "" });
  }

  state(name) {
    return this.#rows.get(name).state;
  }

  #change(name, change) {
    const row = this.#rows.get(name);
    Object.assign(row, change);
    this.#draw(row);
  }

  #draw(row) {
    row.element.dataset.stepState = row.state;
    if (row.state === "running") row.element.setAttribute("aria-current", "step");
    else row.element.removeAttribute("aria-current");
    const sign = { done: "check", failed: "cross" }[row.state];
    row.mark.replaceChildren(sign ? icon(sign) : String(row.number));
    setText(row.text, t(`step.${row.name}`));
    setText(row.said, ` (${t(`step.${row.state}`)})`);
    setText(row.detail, row.error || (row.name === "seen" && row.state === "running" ? t("step.waiting") : ""));
    setText(row.time, row.state === "done" && row.took !== undefined ? inWords(row.took) : "");
  }
}
