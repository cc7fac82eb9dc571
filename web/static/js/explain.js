// What has happened, in plain words: [headline, what to do].
import { list, number } from "./format.js";
import { t } from "./i18n.js";

const byStatus = { 0: "network", 400: "name", 401: "private", 403: "private", 404: "name", 422: "codec", 429: "busy", 503: "busy" };

// progressTime is how long a page only says that it is at work, in milliseconds; then it says with what.
const progressTime = 3000;

// explain is about a state of a receiver, and its stage where that takes its time.
export function explain(state, failure, stage, stageSince) {
  if (state === "error") return explainFailure(failure);
  const slow = (state === "connecting" || state === "reconnecting") && performance.now() - stageSince > progressTime;
  return [t(`state.${state}`), slow ? t(`stage.${stage}`) : t(`state.${state}.more`)];
}

function explainFailure(failure) {
  const { problem, cause } = failure;
  if (cause) return routeInWords(failure);
  const kind = byStatus[problem.status] ?? (problem.status > 0 ? "server" : "browser");
  const said = problem.message && ["codec", "server", "browser"].includes(kind) ? ` (${problem.message})` : "";
  return [t(`failure.${kind}`), t(`failure.${kind}.more`) + said];
}

// routeInWords is about a connection that a server has answered and that carried nothing.
export function routeInWords({ cause, tried, code }) {
  return [t(`failure.${cause}`), t(`failure.${cause}.more`, { tried: list(tried.map((way) => t(`way.${way}`))), code })];
}

// retryInWords says when it is tried again; nothing when it is not.
export function retryInWords(retryAt) {
  if (retryAt === undefined) return "";
  const seconds = Math.ceil((retryAt - Date.now()) / 1000);
  return seconds > 0 ? t("retry.in", { n: number(seconds) }) : t("retry.now");
}

// pathInWords is which way the media goes, as stats.js gives it.
export const pathInWords = (path) => (path ? t(path.relayed ? "path.relayed" : "path.direct", { transport: path.transport.toUpperCase() }) : "");
