// @ts-check
// A watch over the path of a connection. When it is lost, or the network has changed, ICE is restarted, which finds
// another one in the same session (RFC 9725 section 4.3.3). The old path is used for as long as it works.
import { Problem } from "./api.js";

/** @import { Session } from "./session.js" */

// All in milliseconds.
const healTime = 500; // in which "disconnected" often heals by itself
const tryTime = 4000; // for a restart to find a path once the server has answered
const firstWait = 1000; // after an attempt that failed; each further wait is twice as long
const giveUpTime = 12000; // after which a new session is the better way

/** PathKeeper watches one connection, from the moment that it is connected. */
export class PathKeeper {
  busy = false; // a path is being looked for
  #pc;
  #session;
  #lost;
  #up = false; // was connected
  #ended = false;
  #changed = false; // the network, since the last attempt began
  #triedAt = -Infinity;
  #wake = () => {}; // ends the present wait
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {RTCPeerConnection} pc
   * @param {Pick<Session, "restart">} session
   * @param {(reason: string) => void} lost is called when there is no path any more, and no hope for one
   */
  constructor(pc, session, lost) {
    this.#pc = pc;
    this.#session = session;
    this.#lost = lost;
    pc.addEventListener("connectionstatechange", this.#look);
    this.#look();
  }

  close() {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#pc.removeEventListener("connectionstatechange", this.#look);
    this.#wake();
  }

  /** networkChanged looks for a path at once. It reports whether the connection was ever up, so that there is hope. */
  networkChanged() {
    if (!this.#up || this.#ended) return false;
    this.#changed = true;
    this.#wake();
    this.#restore();
    return true;
  }

  #look = () => {
    clearTimeout(this.#timer);
    const state = this.#pc.connectionState;
    if (state === "connected") {
      this.#up = true;
      this.#wake();
    } else if (state === "closed" || (state === "failed" && !this.#up)) {
      this.#giveUp();
    } else if (state === "failed") {
      this.#restore();
    } else if (state === "disconnected" && this.#up) {
      const trying = this.#triedAt + tryTime - performance.now();
      this.#timer = setTimeout(() => this.#restore(), Math.max(healTime, trying));
    }
  };

  #giveUp() {
    if (this.#ended) return;
    this.close();
    this.#lost("failed");
  }

  async #restore() {
    if (this.busy || this.#ended) return;
    this.busy = true;
    const until = performance.now() + giveUpTime;
    for (let wait = firstWait; !this.#ended; wait *= 2) {
      this.#changed = false;
      const pause = await this.#attempt(wait);
      if (!pause && !this.#changed) break;
      if (performance.now() + pause > until) {
        this.#giveUp();
        break;
      }
      if (!this.#changed) await this.#sleep(pause, () => this.#changed);
    }
    this.busy = false;
  }

  /**
   * #attempt restarts ICE once. It resolves with 0 when there is a path, else with the milliseconds until the next
   * attempt, which is Infinity when there is no hope.
   * @param {number} wait
   */
  async #attempt(wait) {
    try {
      await this.#session.restart();
      this.#triedAt = performance.now();
    } catch (error) {
      const { status, retryAfter = 0 } = Problem.from(error);
      const hope = status === 0 || status === 408 || status === 429 || status >= 500;
      return hope ? Math.max(wait, retryAfter * 1000) : Infinity;
    }
    await this.#sleep(tryTime, () => this.#pc.connectionState === "connected" || this.#changed);
    return this.#pc.connectionState === "connected" ? 0 : 1;
  }

  /**
   * #sleep ends early when something has happened and enough is true.
   * @param {number} milliseconds
   * @param {() => boolean} enough
   */
  async #sleep(milliseconds, enough) {
    const until = performance.now() + milliseconds;
    while (!this.#ended && !enough() && performance.now() < until) {
      await new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
        const timer = setTimeout(resolve, until - performance.now());
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
