// @ts-check
// What can be done about a broadcast. Each asks first.
import { requestJSON, streamURL } from "../api.js";
import { t } from "../i18n.js";
import { ask } from "./ask.js";

/** @typedef {(b: API.AdminBroadcast, token: () => string) => Promise<void>} Action throws a Problem */

/** @param {API.AdminBroadcast} b */
const called = (b) => b.title || b.name;

/**
 * @param {API.AdminBroadcast} b
 * @param {() => string} token
 * @param {string} method
 * @param {string} [rest]
 * @param {object} [json]
 * @returns {Promise<any>}
 */
const call = (b, token, method, rest, json) =>
  requestJSON(streamURL(location.origin, b.name, rest), { method, token, json });

/** @type {Action} */
export async function rename(b, token) {
  const asked = t("admin.rename.title", { stream: b.name });
  const title = await ask({ title: asked, yes: t("admin.rename"), value: b.title });
  if (title !== undefined) await call(b, token, "PATCH", "", { title });
}

/** @type {Action} */
export async function turnPrivate(b, token) {
  const now = b.visibility === "private" ? "public" : "private";
  const title = t(`admin.${now}.title`, { stream: called(b) });
  const sure = await ask({ title, text: t(`admin.${now}.text`), yes: t(`admin.${now}`) });
  if (sure) await call(b, token, "PATCH", "", { visibility: now });
}

/** @type {Action} */
export async function renewKeys(b, token) {
  const title = t("admin.keys.title", { stream: called(b) });
  if (!(await ask({ title, text: t("admin.keys.text"), yes: t("admin.keys"), grave: true }))) return;
  /** @type {API.Key} */
  const key = await call(b, token, "POST", "/keys", { scope: "publish", revoke: true });
  await ask({ title: t("admin.keys.new"), text: t("admin.keys.newText"), yes: t("admin.done"), secret: key.token });
}

/** @type {Action} */
export async function endBroadcast(b, token) {
  const title = t("admin.end.title", { stream: called(b) });
  if (!(await ask({ title, text: t("admin.end.text"), yes: t("admin.end"), grave: true }))) return;
  await call(b, token, "DELETE", "/broadcast");
}
