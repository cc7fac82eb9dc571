// Numbers as people read them.
import { language, t } from "./i18n.js";

const locale = () => (language === "id" ? "id-ID" : "en-GB");

export const number = (value, digits = 0) =>
  new Intl.NumberFormat(locale(), { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);

// clock is h:mm:ss or m:ss of so many seconds.
export function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

// since is the clock since a time as the API writes it; empty when there is none.
export function since(time) {
  const start = Date.parse(time ?? "");
  return start > 0 ? clock((Date.now() - start) / 1000) : "";
}

export const bitrate = (bitsPerSecond) =>
  bitsPerSecond >= 1e6 ? `${number(bitsPerSecond / 1e6, 1)} Mbit/s` : `${number(bitsPerSecond / 1e3)} kbit/s`;

export const size = (video) => (video?.width ? `${video.width} × ${video.height}` : "");

export const milliseconds = (ms) => `${number(ms)} ms`;

export const percent = (share) => `${number(share * 100, share > 0 && share < 0.1 ? 1 : 0)} %`;

export const list = (items) => new Intl.ListFormat(locale(), { type: "conjunction" }).format(items);

export const viewers = (count) => t("viewers", { n: count ?? 0, shown: number(count ?? 0) });

const codecNames = { H264: "H.264", H265: "H.265", OPUS: "Opus" };

export const codecs = (...names) => names.filter(Boolean).map((name) => codecNames[name.toUpperCase()] ?? name).join(" + ");
