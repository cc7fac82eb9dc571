// @ts-check
// The dialog that asks before something is done that others notice. Hooks: #sure, #sure-yes, #sure-no, #sure-input.
import { byId, setText } from "../dom.js";
import { t } from "../i18n.js";

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {string} [text]
 * @property {string} yes
 * @property {boolean} [grave] it cannot be undone
 * @property {string} [value] asks for a text, which is this at first
 * @property {string} [secret] shows something to be copied; there is nothing to refuse
 */

/**
 * ask resolves with what was typed, or with "yes"; with undefined if it was refused.
 * @param {Question} question
 * @returns {Promise<string | undefined>}
 */
export function ask({ title, text = "", yes, grave = false, value, secret }) {
  const dialog = byId("sure", HTMLDialogElement);
  const input = byId("sure-input", HTMLInputElement);
  setText(byId("sure-title"), title);
  setText(byId("sure-text"), text);
  setText(byId("sure-yes"), yes);
  setText(byId("sure-no"), t("admin.no"));
  byId("sure-yes").className = `button ${grave ? "on-air" : "primary"}`;
  byId("sure-field").hidden = value === undefined;
  byId("sure-no").hidden = secret !== undefined;
  byId("sure-line").hidden = secret === undefined;
  byId("sure-line").setAttribute("value", secret ?? "");
  byId("sure-line").setAttribute("shown", secret ? `${secret.slice(0, 10)}…${secret.slice(-6)}` : "");
  input.value = value ?? "";
  dialog.returnValue = "";
  dialog.showModal();
  if (value !== undefined) input.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      byId("sure-line").setAttribute("value", "");
      if (dialog.returnValue !== "yes") resolve(undefined);
      else resolve(value === undefined ? "yes" : input.value);
    }, { once: true });
  });
}
