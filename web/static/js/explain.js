// What has happened, in plain words: [headline, what to do].
import { t } from "./i18n.js";

const byStatus = { 0: "network", 400: "name", 401: "private", 403: "private", 404: "name", 422: "codec", 429: "busy", 503: "busy" };

export function explain(state, failure) {
  if (state !== "error") return [t(`state.${state}`), t(`state.${state}.more`)];
  const { stage, problem } = failure;
  const kind = byStatus[problem.status] ?? (problem.status > 0 ? "server" : stage === "connect" ? "ice" : stage === "media" ? "media" : "browser");
  const said = problem.message && ["codec", "server", "browser"].includes(kind) ? ` (${problem.message})` : "";
  return [t(`failure.${kind}`), t(`failure.${kind}.more`) + said];
}
