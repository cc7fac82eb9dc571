// @ts-check
// The panel with the settings for OBS. Hooks: #obs, #obs-server, #obs-token, #obs-void, #make-key, #obs-say.
import { Problem, requestJSON, streamURL } from "../api.js";
import { byId, setText } from "../dom.js";
import { onLanguage, t } from "../i18n.js";
import { refusalInWords } from "./refusals.js";

/** @import { TokenSource } from "../api.js" */
/** @import { StudioModel } from "./model.js" */

/**
 * obsSettings makes tokens for the stream whose name is in the form.
 * @param {StudioModel} model
 * @param {TokenSource} token
 * @param {(key: string) => boolean} replaced is told of a token that has made all others void, and reports whether the
 *   page uses it from now on
 */
export function obsSettings(model, token, replaced) {
  let made = false;
  let said = () => "";
  const words = () => {
    setText(byId("make-key"), t(made ? "obs.makeNew" : "obs.make"));
    setText(byId("obs-say"), said());
  };
  const say = (/** @type {() => string} */ text) => {
    said = text;
    words();
  };
  const make = async () => {
    const revoke = byId("obs-void", HTMLInputElement).checked;
    const url = streamURL(location.origin, model.name, "/keys");
    /** @type {API.Key} */
    const key = await requestJSON(url, { method: "POST", token, json: { scope: "publish", revoke } });
    const line = byId("obs-token");
    line.setAttribute("value", key.token);
    line.setAttribute("shown", `${key.token.slice(0, 10)}…${key.token.slice(-6)}`);
    line.hidden = false;
    made = true;
    const own = revoke && replaced(key.token);
    say(() => t(own ? "obs.own" : "obs.once"));
  };
  const button = byId("make-key", HTMLButtonElement);
  button.addEventListener("click", async () => {
    if (!model.name) {
      say(() => t("obs.name"));
      return;
    }
    button.disabled = true;
    try {
      await make();
    } catch (error) {
      const problem = Problem.from(error);
      say(() => refusalInWords({ problem }));
    }
    button.disabled = false;
  });
  byId("obs-server").setAttribute("value", `${location.origin}/whip`);
  onLanguage(words);
}
