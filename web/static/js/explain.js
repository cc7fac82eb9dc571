// @ts-check
// States and failures in plain words: a headline, and what is to be done.
import { list, number } from "./format.js";
import { t } from "./i18n.js";

/** @import { Verdict } from "./connection-trace.js" */
/** @import { Stage } from "./first-media.js" */
/** @import { ReceiverFailure, ReceiverState } from "./receiver.js" */

/** @type {Record<number, "network" | "name" | "private" | "codec" | "busy">} */
const byStatus = {
  0: "network", 400: "name", 401: "private", 403: "private", 404: "name", 422: "codec", 429: "busy", 503: "busy",
};

/** @type {Record<string, "full" | "banned" | "site" | "notAdmitted" | "undecided">} */
const byCode = {
  "stream-full": "full", banned: "banned", site: "site", "refused-by-site": "notAdmitted",
  "site-unreachable": "undecided",
};

const progressTime = 3000; // milliseconds for which a page only says that it is at work; after that it says at what

/**
 * explain is about a state of a receiver in which there is nothing to see, and about its stage when that takes long.
 * @param {Exclude<ReceiverState, "live" | "paused" | "idle">} state
 * @param {ReceiverFailure} [failure]
 * @param {Stage} [stage]
 * @param {number} [stageSince] on performance.now()'s clock
 * @returns {[headline: string, detail: string]}
 */
export function explain(state, failure, stage, stageSince = Infinity) {
  if (state === "error") return failure ? explainFailure(failure) : ["", ""];
  const coming = state === "connecting" || state === "reconnecting";
  const slow = coming && stage && performance.now() - stageSince > progressTime;
  return [t(`state.${state}`), slow ? t(`stage.${stage}`) : t(`state.${state}.more`)];
}

/**
 * @param {ReceiverFailure} failure
 * @returns {[headline: string, detail: string]}
 */
function explainFailure({ problem, cause, tried = [], code }) {
  if (cause) return explainVerdict({ cause, tried, code });
  const kind = byCode[problem.code ?? ""] ?? byStatus[problem.status] ?? (problem.status > 0 ? "server" : "browser");
  if (kind === "notAdmitted") return [t("failure.notAdmitted"), problem.message]; // in the site's own words
  const said = problem.message && ["codec", "server", "browser"].includes(kind) ? ` (${problem.message})` : "";
  return [t(`failure.${kind}`), t(`failure.${kind}.more`) + said];
}

/**
 * explainVerdict is about a session that the server has accepted and that carried nothing.
 * @param {Verdict} verdict
 * @returns {[headline: string, detail: string]}
 */
export function explainVerdict({ cause, tried, code }) {
  const ways = list(tried.map((way) => t(`way.${way}`)));
  return [t(`failure.${cause}`), t(`failure.${cause}.more`, { tried: ways, code })];
}

/**
 * retryInWords says when the next attempt is; nothing when there is none.
 * @param {number} [retryAt] on Date.now()'s clock
 */
export function retryInWords(retryAt) {
  if (retryAt === undefined) return "";
  const seconds = Math.ceil((retryAt - Date.now()) / 1000);
  return seconds > 0 ? t("retry.in", { n: number(seconds) }) : t("retry.now");
}

/**
 * pathInWords says which way the media goes.
 * @param {import("./stats.js").MediaPath} [path]
 */
export function pathInWords(path) {
  if (!path) return "";
  return t(path.relayed ? "path.relayed" : "path.direct", { transport: path.transport.toUpperCase() });
}
