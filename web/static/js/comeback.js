// @ts-check
// How soon to try again after a loss. Most losses are short, such as the restart of a server, so tries are frequent at
// first, and rarer the longer it takes.

// All in milliseconds.
const soonest = 1000;
const latest = 30000;
const share = 15; // each wait is that part of the time that has passed

export class Comeback {
  within = 0; // the time that the server has set, in which all of its clients are to come back
  #since = 0;

  /** lost begins to count, unless it does already. */
  lost() {
    this.#since ||= performance.now();
  }

  /** back ends it. */
  back() {
    this.#since = this.within = 0;
  }

  /** away is for how long it has been lost; 0 if it is not. */
  get away() {
    return this.#since && performance.now() - this.#since;
  }

  /** pause is the time until the next try. Half of it is chance, so that those who are lost together come apart. */
  pause() {
    const wait = Math.max(soonest, Math.min(this.away / share, latest), this.within);
    return wait * (0.5 + 0.5 * Math.random());
  }
}
