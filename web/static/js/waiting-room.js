// @ts-check
// Where a viewer waits for a stream. While live updates say that the stream is not there, nothing is asked. Without
// them the API is asked, at growing intervals.
import { Problem, requestJSON, streamURL } from "./api.js";

// All in milliseconds.
const snapshotTime = 1000; // for live updates to begin
const firstLook = 5000;
const lastLook = 60000;
const longestSpread = 60000;

/**
 * grow is the time until look n, in milliseconds. Half of it is chance, so that those who wait together do not come
 * together.
 * @param {number} n
 */
export const grow = (n) => Math.min(firstLook * 2 ** n, lastLook) * (0.5 + 0.5 * Math.random());

export class WaitingRoom {
  #feed;
  #options;
  /** @type {Promise<void>} */
  #heard; // resolves with the first word of the live updates, or when there will be none
  #within = 0;

  /**
   * @param {import("./feed.js").Feed} feed
   * @param {{ server: string, stream: string, token: import("./api.js").Token }} options
   */
  constructor(feed, options) {
    this.#feed = feed;
    this.#options = options;
    this.#heard = new Promise((resolve) => {
      feed.on("snapshot", () => resolve());
      feed.on("offline", () => resolve());
      setTimeout(resolve, snapshotTime);
    });
    feed.on("come", ({ within }) => {
      this.#within = Math.min(Number(within) || 0, longestSpread);
    });
  }

  /** settle waits until live updates have said whether the stream is there, or have had their time. */
  async settle() {
    if (!this.#feed.told) await this.#heard;
  }

  /**
   * spread is how long to wait before coming, in milliseconds: by chance within the time that the server has set, which
   * grows with the number of those who wait. It counts once.
   */
  spread() {
    const within = this.#within;
    this.#within = 0;
    return Math.random() * within;
  }

  /**
   * look asks the API whether an offer is worth making. Unless the answer is a clear no, the offer will tell.
   * @param {AbortSignal} [signal]
   */
  async look(signal) {
    const { server, stream, token } = this.#options;
    try {
      /** @type {API.StreamDetail} */
      const { status } = await requestJSON(streamURL(server, stream), { token, signal, cache: "no-store" });
      return status !== "offline";
    } catch (error) {
      return !(error instanceof Problem && error.status === 404);
    }
  }
}
