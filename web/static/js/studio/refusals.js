// @ts-check
// Why a broadcast cannot go on air, or has ended, in plain words.
import { localFailure } from "../api.js";
import { explainVerdict } from "../explain.js";
import { has, t } from "../i18n.js";

/** @import { BroadcasterFailure } from "../broadcaster.js" */

/** @type {Record<number, "network" | "denied" | "taken" | "codec" | "busy">} */
const byStatus = { 0: "network", 401: "denied", 403: "denied", 409: "taken", 422: "codec", 429: "busy", 503: "busy" };

/**
 * refusalInWords is about the failure of a broadcast, or of a request for its stream, which has no stage.
 * @param {Pick<BroadcasterFailure, "problem"> & Partial<BroadcasterFailure>} failure
 */
export function refusalInWords({ stage, problem, cause, tried = [], code }) {
  if (stage === "ended") return t("live.stolen");
  const own = `live.${problem.code}`;
  if (problem.code && has(own)) return t(own);
  const kind = byStatus[problem.status];
  if (kind) return t(`live.${kind}`);
  if (cause) return explainVerdict({ cause, tried, code }).join(". ");
  const status = problem.status === localFailure ? "" : String(problem.status);
  return t("live.failed", { detail: problem.message || status });
}
