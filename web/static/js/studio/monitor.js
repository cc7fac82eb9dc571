// @ts-check
// The preview of what is sent. Hooks: #preview, #monitor-empty, #monitor-sound, #meter.
import { byId } from "../dom.js";
import { meter } from "./capture.js";

/** @import { Source } from "./model.js" */

export class Monitor {
  #stopMeter = () => {};

  /**
   * show resolves when the preview runs, or the browser has refused to play it.
   * @param {MediaStream} media
   * @param {Source} source
   */
  async show(media, source) {
    const video = byId("preview", HTMLVideoElement);
    video.srcObject = media;
    video.classList.toggle("mirror", source === "camera");
    byId("monitor-empty").hidden = true;
    byId("monitor-sound").hidden = source !== "sound";
    this.#stopMeter();
    this.#stopMeter = meter(media, (level) => {
      byId("meter").style.setProperty("--level", `${(level * 100).toFixed(1)}%`);
      byId("meter").setAttribute("aria-valuenow", String(Math.round(level * 100)));
    });
    await video.play().catch(() => {});
  }

  clear() {
    this.#stopMeter();
    byId("preview", HTMLVideoElement).srcObject = null;
    byId("monitor-empty").hidden = false;
    byId("monitor-sound").hidden = true;
  }
}
