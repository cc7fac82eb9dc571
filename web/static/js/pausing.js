// @ts-check
// Who has paused a video. Many may: the player's own button, picture-in-picture, a media key, a headset, a phone call,
// a script of the page, and the browser when the page goes out of sight.

const hidingTime = 2000; // milliseconds; a pause so shortly before the page goes out of sight is part of its going

/** @typedef {"" | "viewer" | "browser"} Pauser "viewer": until somebody plays it; "browser": until the page is seen */

/** Pausing dispatches "change" when by has changed, and "return" when a video that the browser has paused may go on. */
export class Pausing extends EventTarget {
  /** @type {Pauser} */
  by = ""; // empty: the video plays, or is meant to
  #video;
  #asked = false; // the pause was asked for with the player's own controls, so it is surely the viewer's
  #at = 0;

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    super();
    this.#video = video;
  }

  start() {
    this.#video.addEventListener("pause", this.#onPause);
    this.#video.addEventListener("play", this.#onPlay);
    document.addEventListener("visibilitychange", this.#onSight);
  }

  close() {
    this.#video.removeEventListener("pause", this.#onPause);
    this.#video.removeEventListener("play", this.#onPlay);
    document.removeEventListener("visibilitychange", this.#onSight);
    this.by = "";
  }

  /** hold pauses on the viewer's behalf. */
  hold() {
    this.#asked = true;
    this.#set("viewer");
    this.#video.pause();
  }

  release() {
    this.#set("");
  }

  /** @param {Pauser} by */
  #set(by) {
    if (this.by === by) return;
    this.by = by;
    if (by !== "viewer") this.#asked = false;
    this.dispatchEvent(new Event("change"));
  }

  #onPause = () => {
    const { paused, ended, srcObject } = this.#video;
    // A stream that ends pauses its video, too.
    if (this.by || !paused || ended || !(srcObject instanceof MediaStream) || !srcObject.active) return;
    this.#at = performance.now();
    this.#set(!document.hidden || inPictureInPicture(this.#video) ? "viewer" : "browser");
  };

  #onPlay = () => this.#set("");

  #onSight = () => {
    if (document.hidden) {
      const justNow = performance.now() - this.#at < hidingTime;
      if (this.by === "viewer" && !this.#asked && justNow) this.#set("browser");
    } else if (this.by === "browser") {
      this.dispatchEvent(new Event("return"));
    }
  };
}

/** @param {HTMLVideoElement} video */
export function inPictureInPicture(video) {
  const root = /** @type {Document | ShadowRoot} */ (video.getRootNode());
  return root.pictureInPictureElement === video;
}
