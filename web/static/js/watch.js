// @ts-check
// The watch page. Hooks: body[data-state], #player (siaran-player), #video, #title, #viewers, #duration, #badge,
// #share, #stats-toggle, #stats.
import "./header.js";
import { requestJSON, streamURL } from "./api.js";
import { byId, copyText, h, icon, setText } from "./dom.js";
import { pathInWords } from "./explain.js";
import { bitrate, codecs, milliseconds, number, percent, since, size, viewers } from "./format.js";
import { onLanguage, t } from "./i18n.js";
import { viewingInWords } from "./quality.js";
import { startPlayer } from "./page-player.js";
import { claims } from "./token.js";

/** @import { InboundStats } from "./stats.js" */
/** @import { WordKey } from "./i18n.js" */

const tickEvery = 1000; // milliseconds
const saidTime = 2500; // milliseconds for which a button says what it has done

const { player, name } = startPlayer();
/** @type {number | undefined} */
let statsTimer;
/** @type {string | null | undefined} */
let described; // when the broadcast began whose description is shown

function show() {
  const { state, info } = player;
  document.body.dataset.state = state;
  const live = ["live", "paused", "interrupted"].includes(state) || (state === "reconnecting" && Boolean(info));
  const over = state === "ended" || state === "paused";
  const badge = byId("badge");
  badge.hidden = !live && state !== "ended";
  badge.className = `badge ${state === "live" ? "" : over ? "off" : "hold"}`;
  setText(badge, t(state === "live" || over ? state : "interrupted"));
  if (info || !byId("title").textContent) setText(byId("title"), info?.title || name);
  setText(byId("name"), info?.title && info.title !== name ? name : "");
  setText(byId("viewers"), live && info ? viewers(info.viewers) : "");
  document.title = `${state === "live" ? "● " : ""}${byId("title").textContent} · Siaran`;
  tick();
}

/** describe asks for what the live updates do not carry, each time a broadcast begins. */
async function describe() {
  if (player.info?.startedAt === described) return;
  described = player.info?.startedAt;
  try {
    /** @type {API.StreamDetail} */
    const stream = await requestJSON(streamURL(location.origin, name), { token: player.token });
    setText(byId("description"), stream.description ?? "");
  } catch {
    // A page without a description is a good page.
  }
}

function tick() {
  const { state, info } = player;
  setText(byId("duration"), (state === "live" || state === "interrupted") && info ? since(info.startedAt) : "");
}

/** @param {InboundStats} stats */
const estimate = ({ viewing }) => (viewing?.targetBitrate ? bitrate(viewing.targetBitrate) : "");

/** @type {{ key: string, label: WordKey, read: (stats: InboundStats) => string }[]} */
const rows = [
  { key: "latency", label: "stats.latency", read: (s) => (s.latency ? `≈ ${milliseconds(s.latency * 1000)}` : "") },
  { key: "bitrate", label: "stats.bitrate", read: (s) => bitrate(s.bitrate) },
  { key: "resolution", label: "stats.resolution", read: (s) => size(s) },
  { key: "layer", label: "stats.layer", read: (s) => viewingInWords(s.viewing) },
  { key: "estimate", label: "stats.estimate", read: (s) => estimate(s) },
  { key: "fps", label: "stats.fps", read: (s) => (s.fps ? number(s.fps) : "") },
  { key: "loss", label: "stats.loss", read: (s) => percent(s.loss) },
  { key: "rtt", label: "stats.rtt", read: (s) => (s.rtt === undefined ? "" : milliseconds(s.rtt * 1000)) },
  { key: "buffer", label: "stats.buffer", read: (s) => (s.buffer ? milliseconds(s.buffer * 1000) : "") },
  { key: "freezes", label: "stats.freezes", read: (s) => (s.freezes === undefined ? "" : number(s.freezes)) },
  { key: "codec", label: "stats.codec", read: (s) => codecs(...s.codecs) },
  { key: "path", label: "stats.path", read: (s) => pathInWords(s.path) },
];
const table = rows.map(({ key, label, read }) => {
  return { label, read, name: h("dt"), value: h("dd", { "data-testid": `stat-${key}` }, "–") };
});

async function drawStats() {
  const stats = await player.receiver?.stats();
  for (const { read, value } of table) setText(value, (stats && read(stats)) || "–");
}

function toggleStats() {
  const panel = byId("stats");
  panel.hidden = !panel.hidden;
  byId("stats-toggle").setAttribute("aria-expanded", String(!panel.hidden));
  clearInterval(statsTimer);
  if (panel.hidden) return;
  panel.scrollIntoView({ block: "nearest", behavior: "smooth" });
  drawStats();
  statsTimer = setInterval(drawStats, tickEvery);
}

async function share() {
  // A private stream can be watched with a link only. A token that allows more than to watch is not passed on.
  const passed = claims(player.token)?.scopes.join() === "watch" ? `#token=${player.token}` : "";
  const url = `${location.origin}/watch/${encodeURIComponent(name)}${passed}`;
  if (typeof navigator.share === "function" && matchMedia("(pointer: coarse)").matches) {
    navigator.share({ title: document.title, url }).catch(() => {});
    return;
  }
  const done = await copyText(url);
  const text = t(done ? "linkCopied" : "copyFailed");
  byId("share").replaceChildren(icon(done ? "check" : "cross"), text);
  setText(byId("say"), text);
  setTimeout(words, saidTime);
}

function words() {
  byId("share").replaceChildren(icon("link"), t("share"));
  byId("stats-toggle").replaceChildren(icon("chart"), t("stats.title"));
  setText(byId("say"), "");
}

player.addEventListener("state", show);
player.addEventListener("info", () => {
  show();
  describe();
});
player.setAttribute("stream", name);
byId("stats-toggle").addEventListener("click", toggleStats);
byId("share").addEventListener("click", share);
byId("stats-list").append(...table.map((row) => h("div", {}, row.name, row.value)));
onLanguage(() => {
  words();
  for (const row of table) setText(row.name, t(row.label));
  show();
});
setInterval(tick, tickEvery);
