// @ts-check
// Draws the studio's state, and puts what is typed and chosen into it.
import { byId, h, setText } from "../dom.js";
import { onLanguage, t } from "../i18n.js";
import { keepAwake } from "../wake-lock.js";
import { shortened } from "./links.js";
import { noMicrophone, tidyName } from "./model.js";
import { TroubleNote } from "./trouble-note.js";

/** @import { WordKey } from "../i18n.js" */
/** @import { Quality, Source, StudioModel } from "./model.js" */

/** @type {Record<Source, WordKey>} */
const turnOnWords = { camera: "preview.start", screen: "preview.startScreen", sound: "preview.startSound" };

export class StudioView {
  #model;
  #trouble;
  #awake = false; // the screen is kept on
  #link = ""; // that is on the page

  /** @param {StudioModel} model */
  constructor(model) {
    this.#model = model;
    this.#trouble = new TroubleNote(model);
    this.#read();
    this.#listen();
    model.addEventListener("change", () => this.#draw());
    onLanguage(() => {
      model.set({ stopAsked: false });
      this.#trouble.words();
    });
  }

  /** #read takes over what the browser has filled in: it may keep a form when a page is loaded again. */
  #read() {
    this.#model.set({
      name: tidyName(byId("name", HTMLInputElement).value),
      title: byId("title", HTMLInputElement).value,
      visibility: /** @type {API.Visibility} */ (checked("visibility").value),
      source: /** @type {Source} */ (checked("source").value),
      quality: /** @type {Quality} */ (byId("quality", HTMLSelectElement).value),
      layered: byId("layered", HTMLInputElement).checked,
    });
  }

  #listen() {
    const model = this.#model;
    const name = byId("name", HTMLInputElement);
    const title = byId("title", HTMLInputElement);
    name.addEventListener("input", () => model.set({ name: tidyName(name.value) }));
    title.addEventListener("input", () => model.set({ title: title.value }));
    for (const id of /** @type {const} */ (["camera", "microphone"])) {
      const select = byId(id, HTMLSelectElement);
      select.addEventListener("change", () => model.set({ [id]: select.value }));
    }
    const quality = byId("quality", HTMLSelectElement);
    quality.addEventListener("change", () => model.set({ quality: /** @type {Quality} */ (quality.value) }));
    const layered = byId("layered", HTMLInputElement);
    layered.addEventListener("change", () => model.set({ layered: layered.checked }));
    byId("source").addEventListener("change", () => {
      model.set({ source: /** @type {Source} */ (checked("source").value) });
    });
    byId("visibility").addEventListener("change", () => {
      model.set({ visibility: /** @type {API.Visibility} */ (checked("visibility").value) });
    });
  }

  #draw() {
    const { state } = this.#model;
    byId("gate").hidden = state.open !== false;
    byId("desk").hidden = state.open !== true;
    this.#drawForm();
    this.#drawDevices();
    this.#drawBroadcast();
    this.#trouble.draw();
  }

  #drawForm() {
    const { state, onAir } = this.#model;
    const name = byId("name", HTMLInputElement);
    setValue(name, state.name);
    setValue(byId("title", HTMLInputElement), state.title);
    name.readOnly = state.nameFixed;
    name.disabled = onAir;
    setText(byId("name-help"), t(state.nameFixed ? "about.name.fixed" : "about.name.help"));
    byId("private-help").hidden = state.visibility !== "private";
    for (const input of radios("visibility")) {
      input.checked = input.value === state.visibility;
      input.disabled = onAir;
    }
    byId("forget", HTMLButtonElement).disabled = onAir;
    byId("delete").hidden = !this.#model.mayDelete;
    byId("to-admin").hidden = onAir || !this.#model.isAdmin;
  }

  #drawDevices() {
    const { source, quality, layered, cameras, microphones, camera, microphone } = this.#model.state;
    for (const input of radios("source")) input.checked = input.value === source;
    setValue(byId("quality", HTMLSelectElement), quality);
    byId("camera-field").hidden = source !== "camera";
    byId("layered", HTMLInputElement).checked = layered;
    byId("quality-field").hidden = source === "sound";
    byId("layered-field").hidden = source === "sound";
    setText(byId("turn-on"), t(turnOnWords[source]));
    setOptions(byId("camera", HTMLSelectElement), deviceOptions(cameras), camera);
    const none = { value: noMicrophone, text: t("source.noAudio") };
    setOptions(byId("microphone", HTMLSelectElement), [...deviceOptions(microphones), none], microphone);
  }

  #drawBroadcast() {
    const { state, onAir } = this.#model;
    const { broadcast } = state;
    const established = broadcast === "live" || broadcast === "reconnecting";
    document.body.dataset.state = broadcast;
    byId("go-live").hidden = onAir;
    byId("go-live", HTMLButtonElement).disabled = state.starting;
    byId("stop").hidden = !onAir;
    setText(byId("stop"), t(state.stopAsked ? "stopSure" : "stop"));
    byId("end-other").hidden = !state.mayEndOther;
    byId("on-air").hidden = !established;
    byId("air").hidden = !established;
    byId("air").className = `badge ${broadcast === "live" ? "" : "hold"}`;
    setText(byId("air"), t(broadcast === "live" ? "live" : "interrupted"));
    const coming = broadcast === "connecting" || broadcast === "live" || broadcast === "reconnecting";
    setText(byId("status"), coming ? t(`studio.${broadcast}`) : "");
    this.#drawLink();
    document.title = `${broadcast === "live" ? "● " : ""}${t("studio.title")} · Siaran`;
    if (this.#awake !== onAir) keepAwake(onAir);
    this.#awake = onAir;
  }

  #drawLink() {
    const { link } = this.#model.state;
    if (this.#link === link) return; // a part of it may be selected
    this.#link = link;
    byId("share").setAttribute("value", link);
    byId("share").setAttribute("shown", shortened(link));
    byId("open-watch", HTMLAnchorElement).href = link;
  }
}

/** @param {string} name */
const radios = (name) =>
  /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll(`input[name="${name}"]`));

/** @param {string} name */
function checked(name) {
  const found = [...radios(name)].find((input) => input.checked);
  if (!found) throw new Error(`nothing is chosen: ${name}`);
  return found;
}

/**
 * setValue leaves the cursor alone where nothing changes.
 * @param {HTMLInputElement | HTMLSelectElement} field
 * @param {string} value
 */
function setValue(field, value) {
  if (field.value !== value) field.value = value;
}

/** @param {MediaDeviceInfo[]} devices */
function deviceOptions(devices) {
  const unnamed = (/** @type {number} */ n) => t("source.device", { n });
  if (!devices.length) return [{ value: "", text: unnamed(1) }]; // before the browser may say which there are
  return devices.map(({ deviceId, label }, i) => ({ value: deviceId, text: label || unnamed(i + 1) }));
}

/**
 * setOptions replaces the options only when they differ, so that an open list stays open.
 * @param {HTMLSelectElement} select
 * @param {{ value: string, text: string }[]} options
 * @param {string} chosen
 */
function setOptions(select, options, chosen) {
  const same = select.options.length === options.length && options.every(({ value, text }, i) =>
    select.options[i].value === value && select.options[i].text === text);
  if (!same) select.replaceChildren(...options.map(({ value, text }) => h("option", { value }, text)));
  setValue(select, chosen);
}
