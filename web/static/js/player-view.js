// @ts-check
// What the player shows over its video: the controls, and a layer that says what the matter is.
import { h, icon, setText } from "./dom.js";
import { explain, retryInWords } from "./explain.js";
import { FailureReport } from "./failure-report.js";
import { since, viewers } from "./format.js";
import { t } from "./i18n.js";
import { drawPlaceholder } from "./placeholder-art.js";
import { playerStyle } from "./player-style.js";
import { QualityMenu } from "./quality-menu.js";

/** @import { IconName } from "./dom.js" */
/** @import { WordKey } from "./i18n.js" */
/** @import { Missing } from "./media-arrival.js" */
/** @import { Receiver } from "./receiver.js" */

const idleTime = 3000; // milliseconds until the controls fade

/**
 * @typedef {object} PlayerActions what the controls do
 * @property {() => void} play
 * @property {() => void} togglePlay
 * @property {() => void} again tries again to connect
 * @property {(muted: boolean) => void} setMuted
 * @property {(volume: number) => void} setVolume from 0 to 1
 * @property {() => void} togglePicture picture-in-picture
 * @property {() => void} toggleFull full screen
 */

export class PlayerView {
  #root;
  #video;
  #actions;
  /** @type {Receiver | undefined} */
  #receiver;
  #report = new FailureReport(() => this.#receiver?.failure?.report);
  #menu = new QualityMenu();
  #parts;
  #frame;
  /** @type {number | undefined} */
  #idle;

  /**
   * @param {ShadowRoot} root
   * @param {HTMLVideoElement} video
   * @param {PlayerActions} actions
   */
  constructor(root, video, actions) {
    this.#root = root;
    this.#video = video;
    this.#actions = actions;
    this.#parts = this.#makeParts();
    this.#frame = this.#makeFrame();
    root.adoptedStyleSheets = [playerStyle];
    root.append(this.#frame);
    video.addEventListener("volumechange", () => this.#showSound());
    this.wake();
  }

  get #state() {
    return this.#receiver?.state ?? "idle";
  }

  get #info() {
    return this.#receiver?.info;
  }

  /**
   * watch is about another receiver from now on.
   * @param {Receiver} [receiver]
   */
  watch(receiver) {
    this.#receiver = receiver;
    this.#menu.watch(receiver?.quality);
    receiver?.quality.addEventListener("change", () => {
      if (this.#receiver !== receiver) return;
      this.#menu.show();
      this.tick();
    });
  }

  /** @param {string} stream */
  drawPlaceholder(stream) {
    drawPlaceholder(this.#parts.art, stream);
  }

  /** remove stops the timers of the view. */
  remove() {
    clearTimeout(this.#idle);
  }

  #makeParts() {
    const actions = this.#actions;
    const round = (/** @type {IconName} */ name, /** @type {string} */ id, /** @type {() => void} */ click) =>
      h("button", { id, type: "button", class: "round", click }, icon(name));
    const volume = h("input", { id: "volume", type: "range", min: 0, max: 100, value: 100 });
    volume.addEventListener("input", () => actions.setVolume(volume.valueAsNumber / 100));
    return {
      volume,
      art: h("canvas", { class: "art", width: 1280, height: 720, "aria-hidden": "true" }),
      message: h("p", { id: "message", class: "message" }),
      detail: h("p", { class: "detail" }),
      retry: h("p", { class: "retry", "aria-live": "off" }), // a countdown is not for reading out
      again: h("button", { id: "again", type: "button", class: "pill", click: () => actions.again() }),
      overlay: h("div", { id: "overlay", class: "overlay", role: "status" }),
      unmute: h("button", { id: "unmute", type: "button", class: "pill sound", click: () => actions.setMuted(false) }),
      play: h("button", { id: "play", type: "button", class: "pill", click: () => actions.play() }),
      note: h("p", { id: "note", class: "chip", role: "status" }),
      pause: round("pause", "pause", () => actions.togglePlay()),
      mute: round("sound", "mute", () => actions.setMuted(!this.#video.muted)),
      badge: h("span", { class: "live" }),
      time: h("span", { class: "fact" }),
      count: h("span", { class: "fact" }),
      picture: round("picture", "pip", () => actions.togglePicture()),
      full: round("full", "fullscreen", () => actions.toggleFull()),
    };
  }

  #makeFrame() {
    const p = this.#parts;
    p.picture.hidden = !document.pictureInPictureEnabled;
    p.overlay.append(
      h("span", { class: "ring", "aria-hidden": "true" }), p.message, p.detail, p.retry,
      h("div", { class: "choices" }, p.again, this.#report.button),
    );
    const slot = h("slot", { name: "video" });
    if (!this.#video.isConnected) slot.append(this.#video);
    const frame = h("div", { class: "frame", part: "frame" },
      slot, p.art, p.overlay, p.note,
      h("div", { class: "bar" }, p.pause, p.mute, p.volume, p.badge, p.time, p.count,
        h("span", { class: "space" }), this.#menu.element, p.picture, p.full),
      h("div", { class: "centre" }, p.play, p.unmute), this.#report.panel);
    for (const name of ["pointermove", "pointerdown", "focusin", "keydown"]) {
      frame.addEventListener(name, () => this.wake());
    }
    frame.addEventListener("dblclick", ({ target }) => {
      if (!(target instanceof Element && target.closest("button, input, select"))) this.#actions.toggleFull();
    });
    return frame;
  }

  /**
   * words writes all texts again, in the present language.
   * @param {boolean} full the player fills the screen
   */
  words(full) {
    const p = this.#parts;
    p.unmute.replaceChildren(icon("muted"), t("player.unmute"));
    p.play.replaceChildren(icon("play"), t("player.play"));
    setText(p.again, t("player.again"));
    this.#report.words();
    p.volume.setAttribute("aria-label", t("player.volume"));
    this.#menu.show();
    label(p.picture, t("player.pip"));
    label(p.full, t(full ? "player.leaveFull" : "player.full"));
    p.full.replaceChildren(icon(full ? "small" : "full"));
    this.show();
  }

  /** show draws the state of the receiver. */
  show() {
    const p = this.#parts;
    this.#frame.dataset.state = this.#state;
    const paused = this.#state === "paused";
    p.play.hidden = !paused;
    p.pause.hidden = this.#state !== "live" && !paused;
    p.pause.replaceChildren(icon(paused ? "play" : "pause"));
    label(p.pause, t(paused ? "player.playKey" : "player.pause"));
    this.update();
    this.wake();
  }

  /** update draws what the server says, and what arrives. */
  update() {
    this.#showSound();
    this.tick();
  }

  /** tick draws what changes with time. */
  tick() {
    this.#showOverlay();
    this.#showNote();
    this.#showInfo();
  }

  /** #unwanted reports whether the viewer has chosen to have no picture. */
  get #unwanted() {
    return this.#receiver?.quality.choice === "sound";
  }

  /** #unseen is why there is nothing to see, where there is something to hear. */
  get #unseen() {
    const missing = this.#unwanted ? undefined : this.#receiver?.missing.video;
    return this.#state === "live" && this.#info?.video && missing !== "stopped" ? missing : undefined;
  }

  #showOverlay() {
    const p = this.#parts;
    const state = this.#state;
    const failure = state === "error" ? this.#receiver?.failure : undefined;
    const soundOnly = state === "live" && (this.#unwanted || (Boolean(this.#info) && !this.#info?.video));
    const unseen = this.#unseen;
    let [message, detail] = ["", ""];
    if (soundOnly) message = t("player.soundOnly");
    else if (unseen) [message, detail] = [t("player.noPicture"), t(`player.noPicture.${unseen}`)];
    else if (state !== "live" && state !== "paused" && state !== "idle") {
      [message, detail] = explain(state, failure, this.#receiver?.stage, this.#receiver?.stageSince);
    }
    setText(p.message, message);
    setText(p.detail, detail);
    setText(p.retry, retryInWords(failure?.retryAt));
    p.again.hidden = !failure;
    this.#report.show(Boolean(failure?.report));
    p.overlay.hidden = !message;
    p.art.hidden = !soundOnly && !unseen && !["waiting", "ended", "error"].includes(state);
  }

  #showNote() {
    const { audio, video } = this.#receiver?.missing ?? {};
    /** @type {WordKey | ""} */
    let key = "";
    if (this.#state === "live" && video === "stopped" && !this.#unwanted) key = "player.pictureStopped";
    else if (this.#state === "live" && !this.#unseen && audio && this.#info?.audio) key = noSound(audio);
    setText(this.#parts.note, key && t(key));
  }

  #showInfo() {
    const p = this.#parts;
    const state = this.#state;
    const shown = state === "live" || state === "interrupted" || state === "paused";
    setText(p.badge, shown ? t(state) : "");
    p.badge.hidden = !shown;
    // A clock that runs says that something happens.
    setText(p.time, shown && state !== "paused" ? since(this.#info?.startedAt) : "");
    setText(p.count, shown && this.#info ? viewers(this.#info.viewers) : "");
  }

  #showSound() {
    const p = this.#parts;
    const { muted, volume } = this.#video;
    const silent = muted || volume === 0;
    p.mute.replaceChildren(icon(silent ? "muted" : "sound"));
    label(p.mute, t(silent ? "player.unmute" : "player.mute"));
    p.volume.value = String(muted ? 0 : Math.round(volume * 100));
    const silence = this.#info?.audio === null || this.#receiver?.missing.audio;
    p.unmute.hidden = !muted || this.#state !== "live" || Boolean(silence);
  }

  /** wake shows the controls for a while. */
  wake() {
    this.#frame.classList.remove("asleep");
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.#state === "live" && !this.#root.activeElement) this.#frame.classList.add("asleep");
    }, idleTime);
  }
}

/** @type {(missing: Missing) => WordKey} */
const noSound = (missing) => (missing === "stopped" ? "player.noSound.stopped" : "player.noSound.none");

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function label(element, text) {
  element.setAttribute("aria-label", text);
  element.title = text;
}
