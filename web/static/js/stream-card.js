// @ts-check
// The card of one live stream on the dashboard.
import { h, icon, setText } from "./dom.js";
import { codecs, number, since, size, viewers } from "./format.js";
import { t } from "./i18n.js";
import { canDecode, drawKeyframe } from "./keyframe-preview.js";
import { drawPlaceholder } from "./placeholder-art.js";

// All in milliseconds.
const pictureEvery = 12000; // between two pictures of one card
// To another try at the first picture; longer each time, because a stream of another server never has one here.
const firstRetry = 2500;
const lastRetry = 60000;
const leaveTime = 400; // after which a card is gone even if its animation has not ended

export class StreamCard {
  onScreen = false;
  stream;
  #drawn = h("canvas", { width: 640, height: 360, "aria-hidden": "true" });
  #keyframe = h("canvas", { class: "key", width: 960, height: 540, "aria-hidden": "true" });
  #badge = h("span", { class: "badge" });
  #time = h("span");
  #count = h("span");
  #countInWords = h("span", { class: "hidden-text" });
  #title;
  #name = h("span", { class: "mono" });
  #size = h("span", { class: "numbers" });
  #codec = h("span");
  /** @type {string | undefined} */
  #tag; // of the picture that is shown
  #busy = false;
  #triedAt = -Infinity;
  #retry = firstRetry;

  /** @param {API.Stream} stream */
  constructor(stream) {
    this.stream = stream;
    this.#title = h("a", { href: `/watch/${encodeURIComponent(stream.name)}` });
    const watching = h("span", { class: "watching", "aria-hidden": "true" }, icon("eye"), this.#count);
    // The title alone is the link, so that it names the link; style stretches it over the card.
    this.element = h("li", { class: "card", "data-stream": stream.name, "data-picture": "drawn" },
      h("div", { class: "picture" }, this.#drawn, this.#keyframe,
        h("div", { class: "picture-bar" }, this.#badge, this.#time, watching, this.#countInWords)),
      h("div", {}, h("h2", {}, this.#title), h("div", { class: "facts" }, this.#name, this.#size, this.#codec)));
    drawPlaceholder(this.#drawn, stream.name);
    this.update(stream);
  }

  /** @param {API.Stream} stream */
  update(stream) {
    const back = this.stream.status === "interrupted" && stream.status === "live";
    const live = stream.status === "live";
    const title = stream.title || stream.name;
    this.stream = stream;
    this.element.dataset.status = stream.status;
    setText(this.#title, title);
    setText(this.#name, title === stream.name ? "" : stream.name);
    setText(this.#size, size(stream.video));
    setText(this.#codec, codecs(stream.video?.codec, stream.audio?.codec));
    this.#badge.className = `badge ${live ? "" : "hold"}`;
    setText(this.#badge, t(live ? "live" : "interrupted"));
    setText(this.#count, number(stream.viewers ?? 0));
    setText(this.#countInWords, viewers(stream.viewers));
    this.tick();
    if (back) {
      this.#triedAt = -Infinity;
      this.#retry = firstRetry;
    }
    this.refresh();
  }

  tick() {
    setText(this.#time, since(this.stream.startedAt));
  }

  /** refresh asks for a new picture when it is time for one and somebody can see it. */
  async refresh() {
    const due = performance.now() - this.#triedAt > (this.#tag ? pictureEvery : this.#retry);
    if (this.#busy || !due || !this.onScreen || document.hidden || !this.stream.video || !canDecode()) return;
    this.#busy = true;
    const tag = await drawKeyframe(this.#keyframe, this.stream.name, this.#tag);
    this.#busy = false;
    this.#triedAt = performance.now();
    if (!tag) {
      this.#retry = Math.min(2 * this.#retry, lastRetry);
      return;
    }
    this.#tag = tag;
    this.#keyframe.classList.add("shown");
    this.element.dataset.picture = "keyframe";
  }

  /** leave takes the card from the page. */
  leave() {
    delete this.element.dataset.stream;
    this.element.classList.add("leaving");
    this.element.inert = true;
    const gone = () => this.element.remove();
    this.element.addEventListener("animationend", gone);
    setTimeout(gone, leaveTime);
  }
}
