// @ts-check
// Camera, microphone and screen: turned on, changed, and turned off.
import { t } from "../i18n.js";
import { capture, CaptureError, listDevices, release } from "./capture.js";
import { noMicrophone } from "./model.js";

/** @import { StudioModel } from "./model.js" */
/** @import { Monitor } from "./monitor.js" */
/** @import { Steps } from "./steps.js" */

/**
 * @typedef {object} DeviceHooks
 * @property {(media: MediaStream) => Promise<void>} replace the broadcast goes on with other media
 * @property {() => void} ended the screen is no longer shared, or the camera was unplugged
 */

export class Devices {
  #model;
  #steps;
  #monitor;
  #hooks;
  #captures = 0; // counted, so that one that was overtaken is thrown away

  /**
   * @param {StudioModel} model
   * @param {Steps} steps
   * @param {Monitor} monitor
   * @param {DeviceHooks} hooks
   */
  constructor(model, steps, monitor, hooks) {
    this.#model = model;
    this.#steps = steps;
    this.#monitor = monitor;
    this.#hooks = hooks;
  }

  /** turnOn opens what is chosen, in place of what is open, and reports whether that worked. */
  async turnOn() {
    const model = this.#model;
    const number = ++this.#captures;
    const { source, camera, microphone, quality } = model.state;
    model.say(undefined);
    this.#steps.reset(model.onAir ? "seen" : "asked");
    this.#begin("asked");
    try {
      const audio = microphone !== noMicrophone;
      const asking = capture({ source, camera, microphone, audio, quality });
      this.#next("asked", "allowed");
      const media = await asking;
      if (number !== this.#captures) {
        release(media);
        return false;
      }
      this.#next("allowed", "preview");
      const before = model.state.media;
      model.set({ media });
      if (model.onAir) await this.#hooks.replace(media);
      release(before);
      await this.#monitor.show(media, source);
      if (!model.onAir) this.#steps.done("preview");
      this.#watch(media);
      await this.list();
      return true;
    } catch (error) {
      if (number === this.#captures) this.#fail(CaptureError.from(error, source));
      return false;
    }
  }

  turnOff() {
    this.#captures++;
    release(this.#model.state.media);
    this.#model.set({ media: undefined });
    this.#monitor.clear();
  }

  async list() {
    const { cameras, microphones } = await listDevices();
    this.#model.listed(cameras, microphones);
  }

  /** @param {MediaStream} media */
  #watch(media) {
    for (const track of media.getTracks()) {
      track.addEventListener("ended", () => this.#model.state.media === media && this.#hooks.ended());
    }
  }

  // While a broadcast goes on, its first three steps stay as they were.

  /** @param {"asked" | "allowed" | "preview"} step */
  #begin(step) {
    if (!this.#model.onAir) this.#steps.begin(step);
  }

  /**
   * @param {"asked" | "allowed"} step
   * @param {"allowed" | "preview"} next
   */
  #next(step, next) {
    if (!this.#model.onAir) this.#steps.done(step);
    this.#begin(next);
  }

  /** @param {CaptureError} error */
  #fail(error) {
    const text = () => t(`capture.${error.fault}`, { detail: error.message });
    if (!this.#model.onAir) this.#steps.fail(text());
    this.#model.say({ kind: "bad", text });
  }
}
