// @ts-check
// What arrives through a viewer's connection, and which of it the video element is given: what arrives is played, and
// what is missing is known.
import { flows } from "./stats.js";

// All in milliseconds.
const aloneTime = 1500; // sound, and not one packet of the picture: then the sound is played alone
const decodeTime = 3000; // packets of a picture that cannot be shown: the same
const slotTime = 900; // packets are counted once in this time, which is a slot
// So many slots are remembered. A track with packets in a third of them at most has stopped: in the meantime the server
// sends the last picture again to those who ask for it.
const slots = 6;

/**
 * @typedef {"audio" | "video"} Kind
 * @typedef {"none" | "stopped" | "unseen"} Missing "none" has come yet; it has "stopped"; it is "unseen" because it
 *   comes and cannot be shown
 * @typedef {Partial<Record<Kind, Missing>>} MissingMedia
 */

/** MediaArrival is about one connection. It dispatches "change" when missing has changed. */
export class MediaArrival extends EventTarget {
  /** @type {MissingMedia} */
  missing = {}; // what was agreed on and is not there
  frames = 0; // pictures decoded
  #tracks;
  #video;
  #play;
  /** @type {number | undefined} */
  #shown; // how many tracks the video element has been given
  /**
   * By kind: how many packets have come, the time of the first, whether more came in each of the last slots, and how
   * many there were at the last slot.
   * @type {Map<string, { packets: number, first: number, slots: boolean[], before: number }>}
   */
  #seen = new Map();
  #slotAt = 0;

  /**
   * @param {Pick<RTCPeerConnection, "getTransceivers">} pc
   * @param {HTMLVideoElement} video
   * @param {() => Promise<void>} play
   */
  constructor(pc, video, play) {
    super();
    const receiving = pc.getTransceivers().filter(({ currentDirection }) => currentDirection === "recvonly");
    this.#tracks = receiving.map(({ receiver }) => receiver.track);
    this.#video = video;
    this.#play = play;
  }

  /** leader is the track whose first packet is waited for. */
  get leader() {
    return this.#tracks.find(({ kind }) => kind === "video") ?? this.#tracks[0];
  }

  /**
   * show gives the video element all tracks, or only those of one kind: it plays nothing while one of its tracks has
   * brought nothing. Until then the picture of the last session stays.
   * @param {Kind} [kind]
   */
  show(kind) {
    const tracks = kind ? this.#tracks.filter((track) => track.kind === kind) : this.#tracks;
    if (this.#shown === tracks.length) return undefined;
    this.#shown = tracks.length;
    this.#video.srcObject = new MediaStream(tracks);
    return this.#play();
  }

  /** alone reports whether the sound is played without a picture that was agreed on. */
  get alone() {
    return this.#shown !== undefined && this.#shown < this.#tracks.length;
  }

  /**
   * look takes a report of getStats(). It reports whether the sound should be played without a picture. quiet says that
   * nobody sends at the moment, so that silence means nothing.
   * @param {PageStatsReport} reports
   * @param {{ quiet?: boolean, now?: number }} [options]
   */
  look(reports, { quiet = false, now = performance.now() } = {}) {
    const next = now - this.#slotAt > slotTime;
    if (next) this.#slotAt = now;
    for (const [kind, { packets, frames }] of flows(reports)) {
      if (kind === "video") this.frames = frames;
      if (!packets) continue;
      const seen = this.#seen.get(kind) ?? { packets: 0, first: now, slots: [], before: 0 };
      this.#seen.set(kind, seen);
      seen.packets = packets;
      if (quiet) seen.slots = [];
      if (!next) continue;
      seen.slots = [...seen.slots, packets > seen.before].slice(-slots);
      seen.before = packets;
    }
    this.#judge(now);
    if (this.alone && this.frames > 0) this.show();
    const heard = this.#seen.has("audio") && this.leader.kind === "video";
    return heard && !this.frames && this.#overdue("video", now);
  }

  /** @param {Kind} kind */
  packets(kind) {
    return this.#seen.get(kind)?.packets ?? 0;
  }

  /**
   * #overdue reports whether enough time has passed for this kind to arrive, or to be shown.
   * @param {string} kind
   * @param {number} now
   */
  #overdue(kind, now) {
    const own = this.#seen.get(kind);
    if (own) return now - own.first > decodeTime;
    return now - Math.min(...[...this.#seen.values()].map(({ first }) => first)) > aloneTime;
  }

  /** @param {number} now */
  #judge(now) {
    /** @type {MissingMedia} */
    const missing = {};
    for (const { kind } of this.#tracks) {
      const verdict = this.#verdict(kind, now);
      if (verdict) missing[/** @type {Kind} */ (kind)] = verdict;
    }
    if (missing.video === this.missing.video && missing.audio === this.missing.audio) return;
    this.missing = missing;
    this.dispatchEvent(new Event("change"));
  }

  /**
   * @param {string} kind
   * @param {number} now
   * @returns {Missing | undefined}
   */
  #verdict(kind, now) {
    const seen = this.#seen.get(kind);
    if (!seen) return this.#overdue(kind, now) ? "none" : undefined;
    if (seen.slots.length === slots && seen.slots.filter(Boolean).length <= slots / 3) return "stopped";
    return kind === "video" && !this.frames && this.#overdue(kind, now) ? "unseen" : undefined;
  }
}
