// @ts-check
// How well a broadcast does: what its broadcaster should know.
import { bitrate, percent } from "../format.js";
import { has, t } from "../i18n.js";

/** @import { OutboundStats } from "../stats.js" */

// All in seconds, which are looks.
const limitedPatience = 12; // a new connection is always measured as too slow at first
const silentPatience = 6; // without a packet of a picture, or of sound

const lossWorthTelling = 0.03; // share of the packets
// Nobody can set the first two in a browser, and the page itself measures the rest.
const unhelpful = new Set(["keyframes", "b-frames", "loss", "repairs", "upload"]);

/** Health remembers what it needs of the looks at a connection; there is one each second. */
export class Health {
  /** @type {OutboundStats | undefined} */
  #stats;
  #limited = 0; // for how many seconds in a row
  #silent = { video: 0, audio: 0 }; // for how many seconds nothing was sent of what is broadcast
  /** @type {API.Health["warnings"]} */
  #warnings = [];

  /** @param {OutboundStats | undefined} stats */
  look(stats) {
    this.#stats = stats;
    for (const kind of /** @type {const} */ (["video", "audio"])) {
      this.#silent[kind] = stats?.sent[kind] === 0 ? this.#silent[kind] + 1 : 0;
    }
    this.#limited = limitOf(stats) ? this.#limited + 1 : 0;
  }

  /**
   * heard takes what the server says.
   * @param {API.Health["warnings"]} warnings
   */
  heard(warnings) {
    this.#warnings = warnings.filter(({ code }) => !unhelpful.has(code));
  }

  /** lines are the warnings, in the present language where there are words for them. */
  lines() {
    const lines = warningsInWords(this.#warnings);
    const limit = limitOf(this.#stats);
    const loss = this.#stats?.loss ?? 0;
    if (this.#silent.video >= silentPatience) lines.push(t("health.noPicture"));
    if (this.#silent.audio >= silentPatience) lines.push(t("health.noSound"));
    if (limit && this.#limited > limitedPatience) lines.push(limitInWords(limit, this.#stats?.available));
    if (loss > lossWorthTelling) lines.push(t("health.loss", { share: percent(loss) }));
    return lines;
  }
}

/**
 * warningsInWords falls back to the server's own, English, text.
 * @param {API.Health["warnings"]} warnings
 */
export function warningsInWords(warnings) {
  return warnings.map(({ code, text }) => {
    const key = `warning.${code}`;
    return has(key) ? t(key) : text;
  });
}

/**
 * limitInWords says why the picture is made smaller.
 * @param {"bandwidth" | "cpu"} limit
 * @param {number} [available] bits a second that the browser believes the connection carries
 */
function limitInWords(limit, available) {
  if (limit === "bandwidth" && available) return t("health.limited.upload", { rate: bitrate(available) });
  return t(`health.limited.${limit}`);
}

/**
 * @param {OutboundStats} [stats]
 * @returns {"bandwidth" | "cpu" | undefined}
 */
function limitOf(stats) {
  return stats?.limited === "bandwidth" || stats?.limited === "cpu" ? stats.limited : undefined;
}
