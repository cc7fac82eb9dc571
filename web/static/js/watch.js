// The watch page. Hooks: body[data-state], #player (siaran-player), #video, #title, #viewers, #duration, #badge, #share, #stats-toggle, #stats.
import "./header.js";
import "../player.js";
import { requestJSON, streamURL } from "./api.js";
import { byId, copyText, h, icon, setText } from "./dom.js";
import { pathInWords } from "./explain.js";
import { bitrate, codecs, milliseconds, number, percent, since, size, viewers } from "./format.js";
import { arrive, follow } from "./elsewhere.js";
import { onLanguage, t } from "./i18n.js";
import { claims, takeToken } from "./token.js";

const name = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1) ?? "");
const player = byId("player");
const values = new Map();
let statsTimer;
let described;

arrive();
follow(player, name);
player.token = takeToken(`watch-${name}`);
player.addEventListener("state", show);
player.addEventListener("info", () => {
  show();
  describe();
});
const relay = new URLSearchParams(location.search).get("relay");
if (relay !== null) player.setAttribute("relay", relay);
player.setAttribute("stream", name);

function show() {
  const { state, info } = player;
  document.body.dataset.state = state;
  const live = state === "live" || state === "interrupted" || (state === "reconnecting" && info);
  const badge = byId("badge");
  badge.hidden = !live && state !== "ended";
  badge.className = `badge ${state === "live" ? "" : state === "ended" ? "off" : "hold"}`;
  setText(badge, t(state === "ended" ? "ended" : state === "live" ? "live" : "interrupted"));
  if (info || !byId("title").textContent) setText(byId("title"), info?.title || name);
  setText(byId("name"), info?.title && info.title !== name ? name : "");
  setText(byId("viewers"), live && info ? viewers(info.viewers) : "");
  document.title = `${state === "live" ? "● " : ""}${byId("title").textContent} · Siaran`;
  tick();
}

// describe asks for what the live updates do not carry, each time a broadcast begins.
async function describe() {
  if (player.info?.startedAt === described) return;
  described = player.info?.startedAt;
  try {
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

const rows = [
  ["latency", (s) => (s.latency ? `≈ ${milliseconds(s.latency * 1000)}` : "")],
  ["bitrate", (s) => bitrate(s.bitrate)],
  ["resolution", (s) => size(s)],
  ["fps", (s) => (s.fps ? number(s.fps) : "")],
  ["loss", (s) => percent(s.loss)],
  ["rtt", (s) => (s.rtt === undefined ? "" : milliseconds(s.rtt * 1000))],
  ["buffer", (s) => (s.buffer ? milliseconds(s.buffer * 1000) : "")],
  ["freezes", (s) => (s.freezes === undefined ? "" : number(s.freezes))],
  ["codec", (s) => codecs(...s.codecs)],
  ["path", (s) => pathInWords(s.path)],
];

async function drawStats() {
  const stats = await player.receiver?.stats();
  for (const [key, read] of rows) setText(values.get(key), (stats && read(stats)) || "–");
}

function toggleStats() {
  const panel = byId("stats");
  panel.hidden = !panel.hidden;
  byId("stats-toggle").setAttribute("aria-expanded", String(!panel.hidden));
  clearInterval(statsTimer);
  if (panel.hidden) return;
  panel.scrollIntoView({ block: "nearest", behavior: "smooth" });
  drawStats();
  statsTimer = setInterval(drawStats, 1000);
}

async function share() {
  // A private stream is watched with a link only. A token that may do more than watch is not passed on.
  const passed = claims(player.token)?.scopes.join() === "watch" ? `#token=${player.token}` : "";
  const url = `${location.origin}/watch/${encodeURIComponent(name)}${passed}`;
  if (navigator.share && matchMedia("(pointer: coarse)").matches) {
    navigator.share({ title: document.title, url }).catch(() => {});
    return;
  }
  const done = await copyText(url);
  const text = t(done ? "linkCopied" : "copyFailed");
  byId("share").replaceChildren(icon(done ? "check" : "cross"), text);
  setText(byId("say"), text);
  setTimeout(words, 2500);
}

function words() {
  byId("share").replaceChildren(icon("link"), t("share"));
  byId("stats-toggle").replaceChildren(icon("chart"), t("stats.title"));
  setText(byId("say"), "");
}

byId("stats-toggle").addEventListener("click", toggleStats);
byId("share").addEventListener("click", share);
for (const [key] of rows) values.set(key, h("dd", { "data-testid": `stat-${key}` }, "–"));
onLanguage(() => {
  words();
  byId("stats-list").replaceChildren(...rows.map(([key]) => h("div", {}, h("dt", {}, t(`stats.${key}`)), values.get(key))));
  show();
});
setInterval(tick, 1000);
