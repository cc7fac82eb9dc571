// @ts-check
// The list of steps on the page. Hooks: [data-step=NAME][data-step-state=open|running|done|failed].
import { h, icon, setText } from "../dom.js";
import { number } from "../format.js";
import { onLanguage, t } from "../i18n.js";
import { stepNames } from "./steps.js";

/** @import { StepName, Steps } from "./steps.js" */

/** @param {number} ms */
const inWords = (ms) => (ms < 1000 ? `${number(ms)} ms` : `${number(ms / 1000, 1)} s`);

/**
 * showSteps fills a list with the steps and keeps it up to date.
 * @param {HTMLElement} list
 * @param {Steps} steps
 */
export function showSteps(list, steps) {
  const rows = stepNames.map((name, i) => new Row(name, i + 1));
  list.append(...rows.map(({ element }) => element));
  const draw = () => {
    for (const row of rows) row.draw(steps);
  };
  steps.addEventListener("change", draw);
  onLanguage(draw);
}

class Row {
  #name;
  #number;
  #mark = h("span", { class: "step-mark", "aria-hidden": "true" });
  #text = h("span");
  #said = h("span", { class: "hidden-text" }); // the state, for those who cannot see it
  #detail = h("small");
  #time = h("time");
  #drawn = "";

  /**
   * @param {StepName} name
   * @param {number} number
   */
  constructor(name, number) {
    this.#name = name;
    this.#number = number;
    const text = h("div", {}, this.#text, this.#said, this.#detail);
    this.element = h("li", { class: "step", "data-step": name }, this.#mark, text, this.#time);
  }

  /** @param {Steps} steps */
  draw(steps) {
    const { state, took, error } = steps.get(this.#name);
    this.element.dataset.stepState = state;
    if (state === "running") this.element.setAttribute("aria-current", "step");
    else this.element.removeAttribute("aria-current");
    if (this.#drawn !== state) {
      this.#drawn = state;
      const sign = state === "done" ? icon("check") : state === "failed" ? icon("cross") : String(this.#number);
      this.#mark.replaceChildren(sign);
    }
    setText(this.#text, t(`step.${this.#name}`));
    setText(this.#said, ` (${t(`step.${state}`)})`);
    setText(this.#detail, error || (this.#name === "seen" && state === "running" ? t("step.waiting") : ""));
    setText(this.#time, state === "done" && took !== undefined ? inWords(took) : "");
  }
}
