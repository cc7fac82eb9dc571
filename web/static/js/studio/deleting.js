// @ts-check
// Deleting a stream, by its owner. Hooks: #delete, #delete-dialog, #delete-yes, #delete-no.
import { Problem, requestJSON, streamURL } from "../api.js";
import { byId, setText } from "../dom.js";
import { t } from "../i18n.js";
import { everyone } from "./model.js";
import { refusalInWords } from "./refusals.js";

/** @import { TokenSource } from "../api.js" */
/** @import { StudioModel } from "./model.js" */

const stillLive = 409; // the status

/**
 * offerToDelete asks before it deletes the stream whose name is in the form.
 * @param {StudioModel} model
 * @param {TokenSource} token
 * @param {(name: string) => void} deleted
 */
export function offerToDelete(model, token, deleted) {
  const dialog = byId("delete-dialog", HTMLDialogElement);
  const remove = async (/** @type {string} */ name) => {
    try {
      await requestJSON(streamURL(location.origin, name), { method: "DELETE", token });
      model.set({ title: "", storedName: "", visibility: "public", audience: everyone });
      model.say({ kind: "info", text: () => t("delete.done", { name }) });
      deleted(name);
    } catch (error) {
      const problem = Problem.from(error);
      const live = problem.status === stillLive;
      model.say({ kind: "bad", text: () => (live ? t("delete.live", { name }) : refusalInWords({ problem })) });
    }
  };
  byId("delete").addEventListener("click", () => {
    setText(byId("delete-title"), t("delete.title", { name: model.name }));
    dialog.showModal();
  });
  byId("delete-no").addEventListener("click", () => dialog.close());
  byId("delete-yes").addEventListener("click", () => {
    dialog.close();
    remove(model.name);
  });
}
