// @ts-check
// The dashboard. Hooks: #cards, [data-stream=NAME] (data-status, data-picture=keyframe|drawn), #empty, #lost, #count;
// body[data-state=connecting|live|reconnecting].
import "./copy-line.js";
import "./header.js";
import { byId, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { number } from "./format.js";
import { onLanguage, t } from "./i18n.js";
import { drawPlaceholder } from "./placeholder-art.js";
import { StreamCard } from "./stream-card.js";

const tickEvery = 1000; // milliseconds

/** @type {Map<string, StreamCard>} */
const cards = new Map(); // by name of the stream
let known = false; // a snapshot has come

const onScreen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const card = cardOf(target);
    if (!card) continue;
    card.onScreen = isIntersecting;
    if (isIntersecting) card.refresh();
  }
}, { rootMargin: "200px" });

/**
 * cardOf gives undefined for a card that is leaving.
 * @param {Element} element
 */
function cardOf(element) {
  return [...cards.values()].find((card) => card.element === element);
}

/** @param {API.Stream} stream */
function put(stream) {
  const card = cards.get(stream.name);
  if (card) {
    card.update(stream);
    return;
  }
  const fresh = new StreamCard(stream);
  onScreen.observe(fresh.element);
  cards.set(stream.name, fresh);
  // Newest first, as in the server's list. A card that is leaving keeps its place.
  const older = [...byId("cards").children].find((element) => {
    const other = cardOf(element);
    return other && (other.stream.startedAt ?? "") < (stream.startedAt ?? "");
  });
  if (older) older.before(fresh.element);
  else byId("cards").append(fresh.element);
  if (known) setText(byId("say"), t("dashboard.went", { title: stream.title || stream.name }));
}

/** @param {string} name */
function drop(name) {
  const card = cards.get(name);
  if (!card) return;
  cards.delete(name);
  onScreen.unobserve(card.element);
  card.leave();
  setText(byId("say"), t("dashboard.gone", { title: card.stream.title || name }));
}

function arrange() {
  const n = cards.size;
  byId("empty").hidden = !known || n > 0;
  byId("go").hidden = n === 0; // without cards the text in their place says how to go live
  byId("cards").classList.toggle("one", n === 1);
  setText(byId("count"), known ? t("dashboard.count", { n, shown: number(n) }) : t("dashboard.loading"));
  document.title = n ? `(${n}) Siaran` : "Siaran";
}

/** @param {boolean} connected */
function showConnection(connected) {
  document.body.dataset.state = connected ? "live" : "reconnecting";
  byId("lost").hidden = connected;
}

const feed = new Feed({ rests: true });
feed.on("snapshot", (streams) => {
  const live = new Set(streams.map(({ name }) => name));
  for (const name of [...cards.keys()]) if (!live.has(name)) drop(name);
  streams.forEach(put);
  known = true;
  arrange();
});
feed.on("stream", (stream) => {
  if (stream.status === "offline") drop(stream.name);
  else put(stream);
  arrange();
});
feed.on("gone", (name) => {
  drop(name);
  arrange();
});
feed.on("online", () => showConnection(true));
feed.on("offline", () => showConnection(false));

function refresh() {
  for (const card of cards.values()) card.refresh();
}

onLanguage(() => {
  for (const card of cards.values()) card.update(card.stream);
  arrange();
});
byId("obs-server").setAttribute("value", `${location.origin}/whip`);
drawPlaceholder(byId("empty-art", HTMLCanvasElement), "siaran");
setInterval(() => {
  for (const card of cards.values()) card.tick();
  refresh();
}, tickEvery);
document.addEventListener("visibilitychange", refresh);
addEventListener("pagehide", () => feed.close());
addEventListener("pageshow", (event) => event.persisted && feed.start());
feed.start();
