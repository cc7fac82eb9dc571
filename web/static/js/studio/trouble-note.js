// @ts-check
// What is wrong, with a countdown to the next attempt and a report. Hooks: #trouble, #details, #report.
import { byId, h, note, setText } from "../dom.js";
import { retryInWords } from "../explain.js";
import { FailureReport } from "../failure-report.js";

/** @import { StudioModel } from "./model.js" */

const tickEvery = 1000; // milliseconds

export class TroubleNote {
  #model;
  #report;
  #retry = h("p", { class: "retry numbers", "aria-live": "off" }); // a countdown is not for reading out
  #drawn = "";

  /** @param {StudioModel} model */
  constructor(model) {
    this.#model = model;
    this.#report = new FailureReport(() => model.state.report);
    setInterval(() => this.#drawRetry(), tickEvery);
  }

  words() {
    this.#report.words();
  }

  draw() {
    const { trouble, report } = this.#model.state;
    this.#report.show(Boolean(trouble && report));
    this.#drawRetry();
    const text = trouble ? trouble.text() : "";
    const drawn = trouble ? trouble.kind + text : "";
    if (this.#drawn === drawn) return; // somebody may be reading the report
    this.#drawn = drawn;
    const parts = [text, this.#retry, this.#report.button, this.#report.panel];
    byId("trouble").replaceChildren(...(trouble ? [note(trouble.kind, ...parts)] : []));
  }

  #drawRetry() {
    setText(this.#retry, retryInWords(this.#model.state.retryAt));
  }
}
