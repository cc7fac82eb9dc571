// @ts-check
// The list of qualities in the bar of the player. It is the browser's own, which works by keyboard, with a screen
// reader and on a phone.
import { h, setText } from "./dom.js";
import { t } from "./i18n.js";
import { viewingInWords } from "./quality.js";

/** @import { Choice, Quality } from "./quality.js" */

export class QualityMenu {
  element = h("select", { id: "quality", class: "quality", change: () => this.#choose(), blur: () => this.show() });
  /** @type {Quality | undefined} */
  #quality;

  /** @param {Quality} [quality] */
  watch(quality) {
    this.#quality = quality;
    this.show();
  }

  #choose() {
    const { value } = this.element;
    this.#quality?.choose(value === "auto" || value === "sound" ? value : Number(value));
  }

  /** show draws what there is to choose, and what is chosen; nothing when there is no choice. */
  show() {
    const { heights = [], choice = "auto", viewing } = this.#quality ?? {};
    this.element.hidden = heights.length < 2;
    if (this.element.hidden) return;
    const values = ["auto", ...heights.map(String), "sound"];
    const options = [...this.element.options];
    if (options.map(({ value }) => value).join() !== values.join()) {
      this.element.replaceChildren(...values.map((value) => h("option", { value })));
    }
    const chosen = nearest(choice, heights);
    const now = viewingInWords(viewing);
    for (const option of this.element.options) setText(option, words(option.value, chosen, now));
    this.element.value = String(chosen);
    this.element.setAttribute("aria-label", t("quality.label"));
    this.element.title = now ? t("quality.title", { now }) : t("quality.label");
  }
}

/**
 * nearest is the layer that the server sends for a choice that was made for another stream.
 * @param {Choice} choice
 * @param {number[]} heights
 */
function nearest(choice, heights) {
  if (typeof choice !== "number") return choice;
  return heights.find((height) => height <= choice) ?? heights.at(-1) ?? choice;
}

/**
 * @param {string} value
 * @param {Choice} chosen
 * @param {string} now
 */
function words(value, chosen, now) {
  if (value === "sound") return t("quality.sound");
  if (value !== "auto") return `${value}p`;
  return chosen === "auto" && now ? t("quality.autoNow", { now }) : t("quality.auto");
}
