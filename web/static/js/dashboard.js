// The dashboard. Hooks: #cards, [data-stream=NAME] (data-status, data-picture=keyframe|drawn), #empty, #lost, #count; body[data-state=connecting|live|reconnecting].
import "./copy-line.js";
import "./header.js";
import { byId, h, icon, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { codecs, number, since, size, viewers } from "./format.js";
import { onLanguage, t } from "./i18n.js";
import { drawKawung } from "./kawung.js";
import { canDecode, drawKeyframe } from "./keyframe.js";

const refresh = 12000; // milliseconds between two pictures of one card
const firstRetry = 2500; // and to another try at the first; longer each time, as streams of other servers have none here
const lastRetry = 60000;
const cards = new Map();
let known = false;

const visible = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = cards.get(entry.target.dataset.stream);
    if (card) card.onScreen = entry.isIntersecting;
    if (entry.isIntersecting) card?.refresh();
  }
}, { rootMargin: "200px" });

// Card is one live stream on the page.
class Card {
  onScreen = false;
  #tag;
  #busy = false;
  #drawnAt = -Infinity;
  #retry = firstRetry;

  constructor(stream) {
    this.drawn = h("canvas", { width: 640, height: 360, "aria-hidden": "true" });
    this.key = h("canvas", { class: "key", width: 960, height: 540, "aria-hidden": "true" });
    this.badge = h("span", { class: "badge" });
    this.time = h("span");
    this.watching = h("span");
    this.title = h("h2");
    this.name = h("span", { class: "mono" });
    this.size = h("span", { class: "numbers" });
    this.codec = h("span");
    this.link = h("a", { href: `/watch/${encodeURIComponent(stream.name)}` },
      h("div", { class: "picture" }, this.drawn, this.key,
        h("div", { class: "picture-bar" }, this.badge, this.time, h("span", { class: "watching" }, icon("eye"), this.watching))),
      h("div", {}, this.title, h("div", { class: "facts" }, this.name, this.size, this.codec)));
    this.element = h("li", { class: "card", "data-stream": stream.name, "data-picture": "drawn" }, this.link);
    drawKawung(this.drawn, stream.name);
    visible.observe(this.element);
    this.update(stream);
  }

  update(stream) {
    const back = this.stream?.status === "interrupted" && stream.status === "live";
    this.stream = stream;
    this.element.dataset.status = stream.status;
    const title = stream.title || stream.name;
    setText(this.title, title);
    setText(this.name, title === stream.name ? "" : stream.name);
    setText(this.size, size(stream.video));
    setText(this.codec, codecs(stream.video?.codec, stream.audio?.codec));
    this.badge.className = `badge ${stream.status === "live" ? "" : "hold"}`;
    setText(this.badge, t(stream.status === "live" ? "live" : "interrupted"));
    setText(this.watching, number(stream.viewers ?? 0));
    this.link.setAttribute("aria-label", `${t("dashboard.watch", { title })}, ${viewers(stream.viewers)}`);
    this.tick();
    if (back) {
      this.#drawnAt = -Infinity;
      this.#retry = firstRetry;
    }
    this.refresh();
  }

  tick() {
    setText(this.time, since(this.stream.startedAt));
  }

  async refresh() {
    const due = performance.now() - this.#drawnAt > (this.#tag ? refresh : this.#retry);
    if (this.#busy || !due || !this.onScreen || document.hidden || !this.stream.video || !canDecode()) return;
    this.#busy = true;
    const tag = await drawKeyframe(this.key, this.stream.name, { tag: this.#tag });
    this.#busy = false;
    this.#drawnAt = performance.now();
    if (!tag) {
      this.#retry = Math.min(2 * this.#retry, lastRetry);
      return;
    }
    this.#tag = tag;
    this.key.classList.add("shown");
    this.element.dataset.picture = "keyframe";
  }

  leave() {
    visible.unobserve(this.element);
    delete this.element.dataset.stream;
    this.element.classList.add("leaving");
    this.element.inert = true;
    const gone = () => this.element.remove();
    this.element.addEventListener("animationend", gone);
    setTimeout(gone, 400);
  }
}

function put(stream) {
  const card = cards.get(stream.name);
  if (card) {
    card.update(stream);
    return;
  }
  const fresh = new Card(stream);
  cards.set(stream.name, fresh);
  // Newest first, as the list of the server has it.
  const began = (element) => cards.get(element.dataset.stream)?.stream.startedAt ?? "~"; // one that leaves keeps its place
  const later = [...byId("cards").children].find((element) => began(element) < (stream.startedAt ?? ""));
  if (later) later.before(fresh.element);
  else byId("cards").append(fresh.element);
  if (known) setText(byId("say"), t("dashboard.went", { title: stream.title || stream.name }));
}

function drop(name) {
  const card = cards.get(name);
  if (!card) return;
  cards.delete(name);
  card.leave();
  setText(byId("say"), t("dashboard.gone", { title: card.stream.title || name }));
}

function arrange() {
  byId("empty").hidden = !known || cards.size > 0;
  byId("go").hidden = cards.size === 0; // without cards the empty state says how
  byId("cards").classList.toggle("one", cards.size === 1);
  setText(byId("count"), known ? t("dashboard.count", { n: cards.size, shown: number(cards.size) }) : t("dashboard.loading"));
  document.title = cards.size ? `(${cards.size}) Siaran` : "Siaran";
}

const feed = new Feed({ rests: true });
feed.addEventListener("snapshot", ({ detail }) => {
  const now = new Set(detail.map((stream) => stream.name));
  for (const name of [...cards.keys()]) if (!now.has(name)) drop(name);
  detail.forEach(put);
  known = true;
  arrange();
});
feed.addEventListener("stream", ({ detail }) => {
  if (detail.status === "offline") drop(detail.name);
  else put(detail);
  arrange();
});
feed.addEventListener("gone", ({ detail }) => {
  drop(detail);
  arrange();
});
feed.addEventListener("online", () => {
  document.body.dataset.state = "live";
  byId("lost").hidden = true;
});
feed.addEventListener("offline", () => {
  document.body.dataset.state = "reconnecting";
  byId("lost").hidden = false;
});

onLanguage(() => {
  for (const card of cards.values()) card.update(card.stream);
  arrange();
});
byId("obs-server").setAttribute("value", `${location.origin}/whip`);
drawKawung(byId("empty-art"), "siaran");
setInterval(() => {
  for (const card of cards.values()) {
    card.tick();
    card.refresh();
  }
}, 1000);
document.addEventListener("visibilitychange", () => { for (const card of cards.values()) card.refresh(); });
addEventListener("pagehide", () => feed.close());
addEventListener("pageshow", (event) => event.persisted && feed.start());
feed.start();
