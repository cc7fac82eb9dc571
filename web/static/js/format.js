// @ts-check
// Numbers, times and names as people read them, in the language of the page.
import { language, t } from "./i18n.js";

const locale = () => (language === "id" ? "id-ID" : "en-GB");

/**
 * @param {number} value
 * @param {number} [digits] after the decimal point
 */
export const number = (value, digits = 0) =>
  new Intl.NumberFormat(locale(), { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);

/**
 * clock gives a duration in seconds as h:mm:ss or m:ss.
 * @param {number} seconds
 */
export function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const minutes = Math.floor(s / 60);
  if (s < 3600) return `${minutes}:${two(s % 60)}`;
  return `${Math.floor(s / 3600)}:${two(minutes % 60)}:${two(s % 60)}`;
}

/**
 * since gives the clock since a time as the API writes it (RFC 3339), or nothing when there is no time.
 * @param {string | null} [time]
 */
export function since(time) {
  const start = Date.parse(time ?? "");
  return start > 0 ? clock((Date.now() - start) / 1000) : "";
}

/** @param {number} bitsPerSecond */
export const bitrate = (bitsPerSecond) =>
  bitsPerSecond >= 1e6 ? `${number(bitsPerSecond / 1e6, 1)} Mbit/s` : `${number(bitsPerSecond / 1e3)} kbit/s`;

/** @param {{ width?: number, height?: number } | null} [video] */
export const size = (video) => (video?.width ? `${video.width} × ${video.height}` : "");

/** @param {number} ms */
export const milliseconds = (ms) => `${number(ms)} ms`;

/** @param {number} share from 0 to 1 */
export const percent = (share) => `${number(share * 100, share > 0 && share < 0.1 ? 1 : 0)} %`;

/** @param {string[]} items */
export const list = (items) => new Intl.ListFormat(locale(), { type: "conjunction" }).format(items);

/** @param {number} [count] */
export const viewers = (count = 0) => t("viewers", { n: count, shown: number(count) });

/** @type {Record<string, string>} */
const codecNames = { H264: "H.264", H265: "H.265", OPUS: "Opus" };

/** @param {(string | undefined)[]} names */
export const codecs = (...names) =>
  names.flatMap((name) => (name ? [codecNames[name.toUpperCase()] ?? name] : [])).join(" + ");
