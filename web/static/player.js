// <siaran-player stream="NAME" [server="https://host"] [token="..."] [controls="none"] [keys] [relay] [stay]>: plays a live stream; usable from any site.
// keys: M and F work on the whole page, not only within the player. relay: the media comes through the server's relay only.
// stay: a stream that another server has live is not followed there; the event "elsewhere" tells of it.
// Hooks: .state (idle|connecting|live|interrupted|reconnecting|waiting|ended|error), .video, .receiver, "state" and "info" events;
// in its shadow root #unmute, #play, #mute, #volume, #pip, #fullscreen, #again, #details, #report, #overlay. A <video slot="video"> child is used as the video element.
import { icon, h, setText } from "./js/dom.js";
import { since, viewers } from "./js/format.js";
import { onLanguage, t } from "./js/i18n.js";
import { drawKawung } from "./js/kawung.js";
import { Receiver } from "./js/receiver.js";
import { playerStyle } from "./js/player-style.js";
import { Details } from "./js/details.js";
import { explain, retryInWords } from "./js/explain.js";
import { relayWish } from "./js/ice.js";

const idleTime = 3000; // milliseconds until the controls fade

export class SiaranPlayer extends HTMLElement {
  static observedAttributes = ["stream", "server", "relay"];
  receiver;
  video;
  #root = this.attachShadow({ mode: "open" });
  #parts;
  #idle;
  #clock;
  #leave;
  #keyScope;
  #network = navigator.connection?.type;

  get state() {
    return this.receiver?.state ?? "idle";
  }

  get info() {
    return this.receiver?.info;
  }

  connectedCallback() {
    this.#build();
    this.#leave = onLanguage(this.#words);
    document.addEventListener("fullscreenchange", this.#words);
    this.#clock = setInterval(() => {
      this.#showOverlay();
      this.#showInfo();
    }, 1000);
    this.#keyScope = this.hasAttribute("keys") ? document : this;
    this.#keyScope.addEventListener("keydown", this.#onKey);
    addEventListener("pagehide", this.#onHide);
    addEventListener("pageshow", this.#onShow);
    addEventListener("online", this.#onNetwork);
    navigator.connection?.addEventListener?.("change", this.#onNetwork);
    this.#start();
  }

  disconnectedCallback() {
    this.#stop();
    this.#leave?.();
    clearInterval(this.#clock);
    clearTimeout(this.#idle);
    document.removeEventListener("fullscreenchange", this.#words);
    this.#keyScope.removeEventListener("keydown", this.#onKey);
    removeEventListener("pagehide", this.#onHide);
    removeEventListener("pageshow", this.#onShow);
    removeEventListener("online", this.#onNetwork);
    navigator.connection?.removeEventListener?.("change", this.#onNetwork);
  }

  attributeChangedCallback(name, before, now) {
    if (this.isConnected && this.#parts && before !== now) this.#start();
  }

  #onHide = () => this.#stop(); // deletes the session while the page goes
  #onShow = (event) => event.persisted && this.#start(); // back from the browser's page cache
  // Browsers also tell of each new estimate of the speed, which is no reason to begin anew.
  #onNetwork = (event) => {
    const network = navigator.connection?.type;
    if (event.type === "change" && network === this.#network) return;
    this.#network = network;
    if (navigator.onLine) this.receiver?.networkChanged();
  };

  #start() {
    this.#stop();
    const stream = this.getAttribute("stream");
    if (!stream) return;
    drawKawung(this.#parts.art, stream);
    const server = this.getAttribute("server") || new URL(import.meta.url).origin;
    this.receiver = new Receiver(this.video, { stream, server, token: this.token || this.getAttribute("token") || "", relay: relayWish(this.getAttribute("relay")), stay: this.hasAttribute("stay") });
    this.receiver.addEventListener("state", () => this.#show());
    this.receiver.addEventListener("info", () => {
      this.#showOverlay();
      this.#showInfo();
      this.dispatchEvent(new CustomEvent("info", { detail: this.info }));
    });
    this.receiver.addEventListener("elsewhere", () => this.dispatchEvent(new Event("elsewhere")));
    this.receiver.start();
    this.#show();
  }

  #stop() {
    this.receiver?.stop();
    this.receiver = undefined;
  }

  #build() {
    if (this.#parts) return;
    this.video = this.querySelector("video");
    const slot = h("slot", { name: "video" });
    if (!this.video) {
      this.video = h("video", {});
      slot.append(this.video);
    }
    Object.assign(this.video, { muted: true, autoplay: true, playsInline: true });
    this.video.setAttribute("playsinline", "");
    const button = (id, name, click, shape = "round") => h("button", { id, type: "button", class: shape, click }, icon(name));
    const p = {
      message: h("p", { id: "message", class: "message" }),
      detail: h("p", { class: "detail" }),
      retry: h("p", { class: "retry", "aria-live": "off" }), // a countdown is not for reading out
      again: h("button", { id: "again", type: "button", class: "pill", click: () => this.receiver?.again() }),
      details: new Details(() => this.receiver?.failure?.report),
      unmute: h("button", { id: "unmute", type: "button", class: "pill sound", click: () => this.#setMuted(false) }),
      play: h("button", { id: "play", type: "button", class: "pill", click: () => this.receiver?.play() }),
      mute: button("mute", "sound", () => this.#setMuted(!this.video.muted)),
      volume: h("input", { id: "volume", type: "range", min: 0, max: 100, value: 100, input: () => this.#setVolume() }),
      badge: h("span", { class: "live" }),
      time: h("span", { class: "fact" }),
      count: h("span", { class: "fact" }),
      pip: button("pip", "picture", () => this.#togglePicture()),
      full: button("fullscreen", "full", () => this.#toggleFull()),
    };
    p.pip.hidden = !document.pictureInPictureEnabled;
    p.overlay = h("div", { id: "overlay", class: "overlay", role: "status" }, h("span", { class: "ring", "aria-hidden": "true" }), p.message, p.detail, p.retry, h("div", { class: "choices" }, p.again, p.details.button));
    p.bar = h("div", { class: "bar" }, p.mute, p.volume, p.badge, p.time, p.count, h("span", { class: "space" }), p.pip, p.full);
    p.art = h("canvas", { class: "art", width: 1280, height: 720, "aria-hidden": "true" });
    p.frame = h("div", { class: "frame", part: "frame" }, slot, p.art, p.overlay, p.bar, h("div", { class: "centre" }, p.play, p.unmute), p.details.panel);
    this.#parts = p;
    this.#root.adoptedStyleSheets = [playerStyle];
    this.#root.append(p.frame);
    for (const name of ["pointermove", "pointerdown", "focusin", "keydown"]) p.frame.addEventListener(name, () => this.#awake());
    p.frame.addEventListener("dblclick", (event) => event.target.closest("button, input") || this.#toggleFull());
    this.video.addEventListener("volumechange", () => this.#showSound());
    this.#awake();
  }

  #words = () => {
    const p = this.#parts;
    const label = (element, text) => {
      element.setAttribute("aria-label", text);
      element.title = text;
    };
    p.unmute.replaceChildren(icon("muted"), t("player.unmute"));
    p.play.replaceChildren(icon("play"), t("player.play"));
    setText(p.again, t("player.again"));
    p.details.words();
    p.volume.setAttribute("aria-label", t("player.volume"));
    label(p.pip, t("player.pip"));
    const full = this.#isFull();
    label(p.full, t(full ? "player.leaveFull" : "player.full"));
    p.full.replaceChildren(icon(full ? "small" : "full"));
    this.#showSound();
    this.#show();
  };

  #show() {
    const { state } = this;
    const p = this.#parts;
    this.dataset.state = state;
    p.frame.dataset.state = state;
    this.#showOverlay();
    p.play.hidden = !this.receiver?.blocked || state !== "live";
    this.#showSound();
    this.#showInfo();
    this.#awake();
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }

  // #showOverlay says what is the matter, or that there is nothing to see but something to hear.
  #showOverlay() {
    const { state, info } = this;
    const p = this.#parts;
    const soundOnly = state === "live" && info && !info.video;
    const [message, detail] = soundOnly ? [t("player.soundOnly"), ""] : state === "live" || state === "idle" ? ["", ""] : explain(state, this.receiver?.failure, this.receiver?.stage, this.receiver?.stageSince);
    setText(p.message, message);
    setText(p.detail, detail);
    const failed = state === "error";
    setText(p.retry, failed ? retryInWords(this.receiver.failure.retryAt) : "");
    p.again.hidden = !failed;
    p.details.show(failed && this.receiver.failure.report);
    p.overlay.hidden = !message;
    p.art.hidden = !soundOnly && !["waiting", "ended", "error"].includes(state);
  }

  #showInfo() {
    const p = this.#parts;
    const live = this.state === "live" || this.state === "interrupted";
    setText(p.badge, live ? t(this.state === "live" ? "live" : "interrupted") : "");
    p.badge.hidden = !live;
    setText(p.time, live ? since(this.info?.startedAt) : "");
    setText(p.count, live && this.info ? viewers(this.info.viewers) : "");
  }

  #showSound() {
    const p = this.#parts;
    const { muted, volume } = this.video;
    const silent = muted || volume === 0;
    const text = t(silent ? "player.unmute" : "player.mute");
    p.mute.replaceChildren(icon(silent ? "muted" : "sound"));
    p.mute.setAttribute("aria-label", text);
    p.mute.title = text;
    p.volume.value = muted ? 0 : Math.round(volume * 100);
    p.unmute.hidden = !muted || this.state !== "live" || this.receiver?.blocked || this.info?.audio === null;
  }

  async #setMuted(muted) {
    this.video.muted = muted;
    if (!muted && this.video.volume === 0) this.video.volume = 1;
    if (!muted) {
      try {
        await this.video.play();
      } catch {
        this.video.muted = true; // without sound at least
        this.receiver?.play();
      }
    }
  }

  #setVolume() {
    this.video.volume = this.#parts.volume.value / 100;
    this.#setMuted(this.video.volume === 0);
  }

  #isFull() {
    return document.fullscreenElement === this;
  }

  async #toggleFull() {
    try {
      if (this.#isFull()) await document.exitFullscreen();
      else if (this.requestFullscreen) await this.requestFullscreen();
      else this.video.webkitEnterFullscreen?.(); // iPhone: the video element only
    } catch {
      // The browser does not want to; nothing is lost.
    }
  }

  async #togglePicture() {
    try {
      if (document.pictureInPictureElement === this.video) await document.exitPictureInPicture();
      else await this.video.requestPictureInPicture();
    } catch {
      // As above.
    }
  }

  #onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select")) return;
    if (event.key === "m") this.#setMuted(!this.video.muted);
    else if (event.key === "f") this.#toggleFull();
  };

  // #awake shows the controls for a while.
  #awake() {
    const { frame } = this.#parts;
    frame.classList.remove("asleep");
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.state === "live" && !this.#root.activeElement) frame.classList.add("asleep");
    }, idleTime);
  }
}
if (!customElements.get("siaran-player")) customElements.define("siaran-player", SiaranPlayer);
