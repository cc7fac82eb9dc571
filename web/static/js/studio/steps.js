// @ts-check
// The ten steps of a broadcast: which are done, and how long each took.

/** @typedef {import("../broadcaster.js").BroadcastStep | "asked" | "allowed" | "preview" | "seen"} StepName */
/** @typedef {"open" | "running" | "done" | "failed"} StepState */
/** @typedef {{ state: StepState, began: number, took?: number, error: string }} Step times in milliseconds */

/** @type {StepName[]} */
export const stepNames = [
  "asked", "allowed", "preview", "peer", "offer", "stored", "signalling", "answer", "connected", "seen",
];

/** Steps dispatches "change" after each change. */
export class Steps extends EventTarget {
  /** @type {Map<StepName, Step>} */
  #steps = new Map(stepNames.map((name) => [name, { state: "open", began: 0, error: "" }]));

  /**
   * @param {StepName} name
   * @returns {Readonly<Step>}
   */
  get(name) {
    return this.#steps.get(name) ?? { state: "open", began: 0, error: "" };
  }

  /**
   * begin starts a step's clock; its last outcome is forgotten.
   * @param {StepName} name
   */
  begin(name) {
    this.#change(name, { state: "running", began: performance.now(), error: "" });
  }

  /**
   * done ends a step. One that was never begun has taken no time worth telling.
   * @param {StepName} name
   */
  done(name) {
    const { state, began, took } = this.get(name);
    const time = state === "running" ? performance.now() - began : took;
    this.#change(name, { state: "done", began, took: time, error: "" });
  }

  /**
   * fail ends the step that is running with an error in plain words.
   * @param {string} error
   */
  fail(error) {
    const name = stepNames.findLast((each) => this.get(each).state === "running");
    if (name) this.#change(name, { ...this.get(name), state: "failed", error });
  }

  /**
   * reset opens a step and all after it.
   * @param {StepName} name
   */
  reset(name) {
    for (const later of stepNames.slice(stepNames.indexOf(name))) {
      this.#change(later, { state: "open", began: 0, error: "" });
    }
  }

  /**
   * @param {StepName} name
   * @param {Step} step
   */
  #change(name, step) {
    this.#steps.set(name, step);
    this.dispatchEvent(new Event("change"));
  }
}
