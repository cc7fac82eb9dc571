// @ts-check
// <siaran-player stream="NAME" [server="https://host"] [front="https://host"] [token="..."] [controls="none"] [keys]
//   [relay] [stay] [live]>
// plays a live stream, on any site.
//   front  a name that leads to any of several servers: the player goes there when its server answers nothing
//   keys   K, M and F work on the whole page, not only within the player
//   relay  the media comes through the server's relay only
//   stay   a stream that is live on another server is not followed there; the event "elsewhere" reports it
//   live   the stream was live when the page was made
// A <video slot="video"> child is used as the video element.
// Hooks: .state, .play(), .pause(), .video, .receiver, events "state", "info" and "unanswered"; in its shadow root
// #unmute, #play, #pause, #mute, #volume, #quality, #pip, #fullscreen, #again, #details, #report, #overlay, #note.
import { h } from "./js/dom.js";
import { waitToLeave } from "./js/front.js";
import { onLanguage } from "./js/i18n.js";
import { relayChoice } from "./js/ice.js";
import { claim, release, tell } from "./js/media-session.js";
import { inPictureInPicture } from "./js/pausing.js";
import { PlayerView } from "./js/player-view.js";
import { Receiver } from "./js/receiver.js";

const tickEvery = 1000; // milliseconds

export class SiaranPlayer extends HTMLElement {
  static observedAttributes = ["stream", "server", "relay"];
  /** @type {Receiver | undefined} */
  receiver;
  #root = this.attachShadow({ mode: "open" });
  /** @type {HTMLVideoElement | undefined} */
  #video; // from when the player is first connected
  /** @type {PlayerView | undefined} */
  #view; // likewise
  #token = "";
  /** @type {number | undefined} */
  #clock;
  /** @type {(() => void) | undefined} */
  #leave;
  /** @type {EventTarget} */
  #keyScope = this;
  #network = navigator.connection?.type;

  /** play goes on at the live edge. */
  play() {
    return this.receiver?.play();
  }

  /** pause stops the picture until play. */
  pause() {
    this.receiver?.pause();
  }

  get video() {
    return this.#video;
  }

  get state() {
    return this.receiver?.state ?? "idle";
  }

  get info() {
    return this.receiver?.info;
  }

  // An accessor, so that it leaves alone what a page has set before this script has come.
  get token() {
    return this.#token;
  }

  set token(token) {
    this.#token = token;
  }

  connectedCallback() {
    const view = this.#build();
    this.#leave = onLanguage(this.#words);
    document.addEventListener("fullscreenchange", this.#words);
    this.#clock = setInterval(() => {
      view.tick();
      this.#showSession();
    }, tickEvery);
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
    this.#view?.remove();
    document.removeEventListener("fullscreenchange", this.#words);
    this.#keyScope.removeEventListener("keydown", this.#onKey);
    removeEventListener("pagehide", this.#onHide);
    removeEventListener("pageshow", this.#onShow);
    removeEventListener("online", this.#onNetwork);
    navigator.connection?.removeEventListener?.("change", this.#onNetwork);
  }

  /**
   * @param {string} _name
   * @param {string | null} before
   * @param {string | null} now
   */
  attributeChangedCallback(_name, before, now) {
    if (this.isConnected && this.#view && before !== now) this.#start();
  }

  #onHide = () => this.#stop(); // deletes the session while the page is being left
  /** @param {PageTransitionEvent} event */
  #onShow = (event) => event.persisted && this.#start(); // back from the browser's page cache
  /**
   * Browsers also report each new estimate of the speed, which is no reason to reconnect.
   * @param {Event} event
   */
  #onNetwork = (event) => {
    const network = navigator.connection?.type;
    if (event.type === "change" && network === this.#network) return;
    this.#network = network;
    if (navigator.onLine) this.receiver?.networkChanged();
  };

  #build() {
    if (this.#view) return this.#view;
    const video = this.querySelector("video") ?? h("video");
    Object.assign(video, { muted: true, autoplay: true, playsInline: true });
    video.setAttribute("playsinline", "");
    for (const name of ["volumechange", "enterpictureinpicture", "leavepictureinpicture"]) {
      video.addEventListener(name, () => this.#showSession());
    }
    this.#video = video;
    this.#view = new PlayerView(this.#root, video, {
      play: () => this.play(),
      togglePlay: () => this.#togglePlay(),
      again: () => this.receiver?.again(),
      setMuted: (muted) => this.#setMuted(muted),
      setVolume: (volume) => {
        video.volume = volume;
        this.#setMuted(volume === 0);
      },
      togglePicture: () => this.#togglePicture(),
      toggleFull: () => this.#toggleFull(),
    });
    return this.#view;
  }

  #start() {
    this.#stop();
    const stream = this.getAttribute("stream");
    if (!stream || !this.#video) return;
    this.#view?.drawPlaceholder(stream);
    const receiver = new Receiver(this.#video, {
      stream,
      server: this.getAttribute("server") || new URL(import.meta.url).origin,
      token: this.token || this.getAttribute("token") || "",
      relay: relayChoice(this.getAttribute("relay")),
      stay: this.hasAttribute("stay"),
      live: this.hasAttribute("live"),
    });
    this.removeAttribute("live"); // it was so when the page was made
    receiver.addEventListener("state", () => this.#show());
    receiver.addEventListener("info", () => {
      this.#view?.update();
      this.#showSession();
      this.dispatchEvent(new CustomEvent("info", { detail: this.info }));
    });
    receiver.addEventListener("elsewhere", () => this.dispatchEvent(new Event("elsewhere")));
    receiver.addEventListener("unanswered", () => this.#goToFront(receiver));
    this.receiver = receiver;
    this.#view?.watch(receiver);
    receiver.start();
    this.#show();
  }

  /** @param {Receiver} receiver that gets no answers */
  async #goToFront(receiver) {
    this.dispatchEvent(new Event("unanswered"));
    const front = this.getAttribute("front");
    if (!front || front === this.getAttribute("server")) return;
    await waitToLeave();
    if (this.receiver === receiver && receiver.state !== "live") this.setAttribute("server", front);
  }

  #stop() {
    release(this);
    this.receiver?.stop();
    this.receiver = undefined;
    this.#view?.watch(undefined);
  }

  #words = () => {
    this.#view?.words(this.#isFull());
    this.#show();
  };

  #show() {
    this.dataset.state = this.state;
    this.#view?.show();
    this.#showSession();
    this.dispatchEvent(new CustomEvent("state", { detail: this.state }));
  }

  /** #showSession claims the page's media keys for what can be heard, or seen in picture-in-picture. */
  #showSession() {
    const { state } = this;
    const video = this.#video;
    if (!video) return;
    if (state === "live" && (!video.muted || inPictureInPicture(video))) claim(this);
    const doing = state === "live" ? "playing" : state === "paused" ? "paused" : "none";
    const title = this.info?.title || this.getAttribute("stream") || "";
    tell(this, doing, title, new URL("mark.svg", import.meta.url).href);
  }

  #togglePlay() {
    if (this.state === "paused") this.play();
    else if (this.state === "live") this.pause();
  }

  /** @param {boolean} muted */
  async #setMuted(muted) {
    const video = this.#video;
    if (!video) return;
    video.muted = muted;
    if (muted) return;
    if (video.volume === 0) video.volume = 1;
    try {
      await video.play();
    } catch (error) {
      if (/** @type {Error} */ (error).name !== "NotAllowedError") return; // what interrupts it goes on by itself
      video.muted = true; // without sound at least
      this.play();
    }
  }

  #isFull() {
    return document.fullscreenElement === this;
  }

  async #toggleFull() {
    try {
      if (this.#isFull()) await document.exitFullscreen();
      else if (this.requestFullscreen) await this.requestFullscreen();
      else this.#video?.webkitEnterFullscreen?.(); // iPhone: the video element only
    } catch {
      // The browser does not allow it; nothing is lost.
    }
  }

  async #togglePicture() {
    try {
      if (this.#video && inPictureInPicture(this.#video)) await document.exitPictureInPicture();
      else await this.#video?.requestPictureInPicture();
    } catch {
      // As above.
    }
  }

  /** @param {Event} event */
  #onKey = (event) => {
    if (!(event instanceof KeyboardEvent) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest("input, textarea, select")) return;
    if (event.key === "m") this.#setMuted(!this.#video?.muted);
    else if (event.key === "f") this.#toggleFull();
    else if (event.key === "k") this.#togglePlay();
  };
}
if (!customElements.get("siaran-player")) customElements.define("siaran-player", SiaranPlayer);
