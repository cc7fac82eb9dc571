// How the broadcast does, while it is on the air. Hooks: #gauges [data-testid=gauge-NAME], #health.
import { requestJSON, streamURL } from "./api.js";
import { byId, h, note, setText } from "./dom.js";
import { pathInWords } from "./explain.js";
import { bitrate, codecs, milliseconds, number, percent, since, size } from "./format.js";
import { has, onLanguage, t } from "./i18n.js";

const serverEvery = 5; // seconds between two looks at what the server says
const limitedPatience = 12; // seconds; a connection that begins is always measured as too slow at first
const encoders = new Set(["keyframes", "b-frames", "loss"]); // nobody can set the first two in a browser, which tells of loss itself

export function gauges({ broadcaster, name, token, info }) {
  let timer;
  let ticks = 0;
  let stats;
  let limited = 0; // how long by now, in seconds
  let warnings = [];
  const rows = [
    ["viewers", () => number(info()?.viewers ?? 0), "studio.viewers"],
    ["bitrate", () => stats && bitrate(stats.bitrate), "stats.bitrate"],
    ["resolution", () => stats && size(stats), "stats.resolution"],
    ["fps", () => stats?.fps && number(stats.fps), "stats.fps"],
    ["rtt", () => stats?.rtt !== undefined && milliseconds(stats.rtt * 1000), "stats.rtt"],
    ["loss", () => stats && percent(stats.loss), "stats.loss"],
    ["codec", () => stats && codecs(...stats.codecs), "stats.codec"],
    ["path", () => pathInWords(stats?.path), "stats.path"],
  ].map(([key, read, label]) => ({ read, label, name: h("dt"), value: h("dd", { "data-testid": `gauge-${key}` }, "–") }));
  byId("gauges").append(...rows.map((row) => h("div", {}, row.name, row.value)));
  onLanguage(() => { for (const row of rows) setText(row.name, t(row.label)); });

  function draw() {
    for (const row of rows) setText(row.value, row.read() || "–");
    setText(byId("uptime"), timer ? since(info()?.startedAt) : "");
    const said = [...warnings];
    if (limited > limitedPatience) said.push(t(`health.limited.${stats.limited}`));
    if (stats?.loss > 0.03) said.push(t("health.loss", { share: percent(stats.loss) }));
    const text = said.join("\n");
    if (byId("health").dataset.said === text) return;
    byId("health").dataset.said = text;
    byId("health").replaceChildren(...said.map((line) => note("warn", line)));
  }

  async function tick() {
    stats = await broadcaster.stats();
    limited = ["bandwidth", "cpu"].includes(stats?.limited) ? limited + 1 : 0;
    if (ticks++ % serverEvery === 1) {
      try {
        const health = await requestJSON(streamURL(location.origin, name(), "/health"), { token: token() });
        warnings = (health?.warnings ?? []).filter(({ code }) => !encoders.has(code)).map(({ code, text }) => (has(`warning.${code}`) ? t(`warning.${code}`) : text));
      } catch {
        warnings = [];
      }
    }
    draw();
  }

  return {
    draw,
    start() {
      if (timer) return;
      ticks = 0;
      timer = setInterval(tick, 1000);
      tick();
    },
    stop() {
      clearInterval(timer);
      timer = undefined;
      stats = undefined;
      limited = 0;
      warnings = [];
      draw();
    },
  };
}
