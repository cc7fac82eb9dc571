// @ts-check
// Who may watch: how many, on which sites, and links that expire. Hooks: #audience, #max-viewers, #embed-sites,
// #save-audience, #audience-say, #link-life, #make-link, #link-line.
import { Problem, requestJSON, streamURL } from "../api.js";
import { byId, setText } from "../dom.js";
import { onLanguage, t } from "../i18n.js";
import { shortened, watchLink } from "./links.js";
import { refusalInWords } from "./refusals.js";

/** @import { TokenSource } from "../api.js" */
/** @import { StudioModel } from "./model.js" */

/**
 * sitesOf reads what is typed: one site a line, or several with spaces or commas. A site may be written as people do.
 * @param {string} text
 */
export function sitesOf(text) {
  const sites = text.split(/[\s,]+/).filter(Boolean);
  return sites.map((site) => (site === "*" || site.includes("://") ? site : `https://${site}`));
}

/**
 * audience edits what the server knows of the stream whose name is in the form.
 * @param {StudioModel} model
 * @param {TokenSource} token
 */
export function audience(model, token) {
  const most = byId("max-viewers", HTMLInputElement);
  const anywhere = byId("embed-anywhere", HTMLInputElement);
  const sites = byId("embed-sites", HTMLTextAreaElement);
  let shown = model.state.audience;
  let said = () => "";
  const words = () => setText(byId("audience-say"), said());
  const say = (/** @type {() => string} */ text) => {
    said = text;
    words();
  };
  const draw = () => {
    const { audience: now } = model.state;
    byId("embed-sites-field").hidden = anywhere.checked;
    if (now === shown) return; // what is being typed stays
    shown = now;
    most.value = now.maxViewers ? String(now.maxViewers) : "";
    anywhere.checked = now.embedSites.join() === "*";
    sites.value = anywhere.checked ? "" : now.embedSites.join("\n");
    byId("embed-sites-field").hidden = anywhere.checked;
  };
  /**
   * @param {HTMLElement} button
   * @param {() => Promise<void>} work
   */
  const press = (button, work) => button.addEventListener("click", async () => {
    if (!model.name) {
      say(() => t("audience.name"));
      return;
    }
    button.toggleAttribute("disabled", true);
    try {
      await work();
    } catch (error) {
      const problem = Problem.from(error);
      say(() => (problem.status === 422 ? t("audience.bad") : refusalInWords({ problem })));
    }
    button.toggleAttribute("disabled", false);
  });
  press(byId("save-audience"), async () => {
    if (!most.reportValidity()) return;
    const json = { maxViewers: Number(most.value), embedSites: anywhere.checked ? ["*"] : sitesOf(sites.value) };
    /** @type {API.StreamDetail} */
    const stream = await requestJSON(streamURL(location.origin, model.name), { method: "PATCH", token, json });
    model.set({ audience: { maxViewers: stream.maxViewers, embedSites: stream.embedSites } });
    say(() => t("audience.saved"));
  });
  press(byId("make-link"), async () => {
    const json = { scope: "watch", ttl: Number(byId("link-life", HTMLSelectElement).value) };
    const url = streamURL(location.origin, model.name, "/keys");
    /** @type {API.Key} */
    const key = await requestJSON(url, { method: "POST", token, json });
    const link = watchLink(location.origin, model.name, key.token);
    const line = byId("link-line");
    line.setAttribute("value", link);
    line.setAttribute("shown", shortened(link));
    line.hidden = false;
    say(() => t("audience.made"));
  });
  anywhere.addEventListener("change", draw);
  model.addEventListener("change", draw);
  onLanguage(words);
  draw();
}
