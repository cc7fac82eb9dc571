// @ts-check
// A small plot of the last minutes of one figure.
import { h, setText } from "../dom.js";

const points = 90; // two seconds each
const width = 120;
const height = 32;

/**
 * lineOf gives the points of a polyline for values, the newest at the right.
 * @param {number[]} values
 * @param {number} [least] the smallest full scale
 */
export function lineOf(values, least = 0) {
  const top = Math.max(least, ...values) || 1;
  const step = width / (points - 1);
  const first = points - values.length;
  return values.map((value, i) => {
    const x = ((first + i) * step).toFixed(1);
    return `${x},${(height - 1 - (Math.max(value, 0) / top) * (height - 2)).toFixed(1)}`;
  }).join(" ");
}

export class Plot {
  element;
  #name = h("span");
  #value = h("strong", { class: "numbers" });
  #line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  /** @type {number[]} */
  #values = [];
  #least;
  #bad;

  /**
   * @param {string} id
   * @param {{ least?: number, bad?: number }} [options] the smallest full scale, and from where on a value is bad
   */
  constructor(id, { least = 0, bad = Infinity } = {}) {
    this.#least = least;
    this.#bad = bad;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    svg.append(this.#line);
    this.element = h("figure", { "data-testid": `plot-${id}` }, h("figcaption", {}, this.#name, this.#value));
    this.element.append(svg);
  }

  /** @param {number} value */
  push(value) {
    this.#values.push(value);
    if (this.#values.length > points) this.#values.shift();
    this.#line.setAttribute("points", lineOf(this.#values, this.#least));
    this.element.classList.toggle("bad", value >= this.#bad);
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  draw(name, value) {
    setText(this.#name, name);
    setText(this.#value, value);
  }
}
