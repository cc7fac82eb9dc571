// The panel with the settings for OBS. Hooks: #obs, #obs-server, #obs-token, #obs-void, #make-key, #obs-say.
import { requestJSON, streamURL } from "./api.js";
import { byId, setText } from "./dom.js";
import { onLanguage, t } from "./i18n.js";

// obsPanel needs to know the stream's name and token at the time, and tells when a new token replaces the page's own.
export function obsPanel({ name, token, replaced, explain }) {
  let said = "";
  let made = false;
  byId("obs-server").setAttribute("value", `${location.origin}/whip`);
  const words = () => {
    setText(byId("make-key"), t(made ? "obs.makeNew" : "obs.make"));
    setText(byId("obs-say"), said && t(said));
  };
  onLanguage(words);
  byId("make-key").addEventListener("click", async () => {
    const stream = name();
    if (!stream) {
      said = "obs.name";
      words();
      return;
    }
    const revoke = byId("obs-void").checked;
    byId("make-key").disabled = true;
    try {
      const key = await requestJSON(streamURL(location.origin, stream, "/keys"), { method: "POST", token: token(), json: { scope: "publish", revoke } });
      const line = byId("obs-token");
      line.setAttribute("value", key.token);
      line.setAttribute("shown", `${key.token.slice(0, 10)}…${key.token.slice(-6)}`);
      line.hidden = false;
      made = true;
      said = revoke && replaced(key.token) ? "obs.own" : "obs.once";
      words();
    } catch (problem) {
      words();
      setText(byId("obs-say"), explain(problem));
    }
    byId("make-key").disabled = false;
  });
}
