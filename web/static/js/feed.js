// @ts-check
// Live updates of the list of streams (GET /api/streams/events), over a connection that is made again when it is lost.
import { authorization, renewed } from "./api.js";
import { Comeback } from "./comeback.js";

// All in milliseconds.
const firstWait = 1000;
const longestWait = 15000;
const silence = 40000; // the server sends a comment every 15 s
const restAfter = 20000; // out of sight; browsers allow six connections to an origin in all

/**
 * @typedef {object} FeedEvents the events of a Feed with what they carry as detail
 * @property {API.Stream[]} snapshot all streams that are live
 * @property {API.Stream} stream one that has changed
 * @property {API.StreamEvents["come"]} come over how long those who wait for a stream are to spread, just before it
 * @property {string} gone the name of a stream that is no longer live
 * @property {API.StreamEvents["reconnect"]} reconnect the server is about to end, and will be back
 * @property {undefined} online the updates have begun
 * @property {undefined} offline the connection is lost
 * @property {undefined} rest the feed has closed its connection while its page is out of sight
 */

/**
 * Feed dispatches FeedEvents. It reads the event stream itself: an EventSource sends no token, and never notices a
 * connection that has died without a word.
 */
export class Feed extends EventTarget {
  told = false; // a snapshot has come, and it is kept up to date
  #server;
  #stream;
  #token;
  /** @type {AbortController | undefined} */
  #abort; // undefined while the feed rests
  /** @type {number | undefined} */
  #timer;
  /** @type {number | undefined} */
  #rest;
  #wait = firstWait;
  #comeback = new Comeback();
  #online = false;
  #rests;

  /**
   * @param {object} [options]
   * @param {string} [options.server]
   * @param {string} [options.stream] the updates are about this stream alone
   * @param {import("./api.js").Token} [options.token] for a private stream
   * @param {boolean} [options.rests] the feed closes its connection while its page is out of sight
   */
  constructor({ server = location.origin, stream, token, rests = false } = {}) {
    super();
    this.#rests = rests;
    this.#server = server;
    this.#stream = stream;
    this.#token = token;
  }

  /**
   * on listens to one of FeedEvents.
   * @template {keyof FeedEvents} Name
   * @param {Name} name
   * @param {(detail: FeedEvents[Name]) => void} listener
   */
  on(name, listener) {
    this.addEventListener(name, (event) => listener(/** @type {CustomEvent} */ (event).detail));
  }

  /** lost says that there were updates, and the connection has broken since. */
  get lost() {
    return this.#comeback.away > 0;
  }

  start() {
    this.close();
    if (this.#rests) document.addEventListener("visibilitychange", this.#onSight);
    addEventListener("online", this.#onNetwork);
    this.#connect();
  }

  close() {
    document.removeEventListener("visibilitychange", this.#onSight);
    removeEventListener("online", this.#onNetwork);
    clearTimeout(this.#rest);
    this.#disconnect();
  }

  #onSight = () => {
    clearTimeout(this.#rest);
    if (document.hidden) this.#rest = setTimeout(this.#pause, restAfter);
    else if (!this.#online) this.#connect();
  };

  #pause = () => {
    this.#disconnect();
    this.#comeback.back();
    this.#tell("rest", undefined);
  };

  #onNetwork = () => {
    if (this.#abort && !this.#online) this.#connect();
  };

  #connect() {
    this.#disconnect();
    const url = new URL("/api/streams/events", this.#server);
    if (this.#stream) url.searchParams.set("stream", this.#stream);
    this.#read(url);
  }

  #disconnect() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = undefined;
    this.#online = false;
    this.told = false;
  }

  /** @param {URL} url */
  async #read(url) {
    const abort = new AbortController();
    this.#abort = abort;
    /** @type {number | undefined} */
    let quiet;
    const heard = () => {
      clearTimeout(quiet);
      quiet = setTimeout(() => abort.abort(), silence);
    };
    try {
      heard();
      await renewed(this.#token);
      const headers = { ...authorization(this.#token), Accept: "text/event-stream" };
      const response = await fetch(url, { headers, cache: "no-store", signal: abort.signal });
      if (!response.ok || !response.body) {
        // A refusal will be repeated until something changes.
        if (response.status < 500 && response.status !== 429) this.#wait = longestWait;
        throw new Error(String(response.status));
      }
      this.#up();
      await this.#parse(response.body.pipeThrough(new TextDecoderStream()).getReader(), heard);
    } catch {
      // Whatever it was, the feed tries again below.
    }
    clearTimeout(quiet);
    abort.abort();
    if (this.#abort === abort) this.#down();
  }

  /**
   * @param {ReadableStreamDefaultReader<string>} reader
   * @param {() => void} heard is called for all that comes
   */
  async #parse(reader, heard) {
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop() ?? "";
      for (const block of blocks) this.#take(parseEvent(block));
    }
  }

  /** @param {{ name: string, data: string } | undefined} event */
  #take(event) {
    if (!event) return;
    let data;
    try {
      data = JSON.parse(event.data);
    } catch {
      return;
    }
    switch (event.name) {
      case "snapshot":
        this.told = true;
        this.#tell("snapshot", data.streams ?? []);
        break;
      case "reconnect":
        this.#comeback.within = Number(data.within) || 0;
        this.#tell("reconnect", data);
        break;
      case "stream":
      case "come":
        this.#tell(event.name, data);
        break;
      case "gone":
        this.#tell("gone", data.name);
    }
  }

  /**
   * @template {keyof FeedEvents} Name
   * @param {Name} name
   * @param {FeedEvents[Name]} detail
   */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #up() {
    this.#wait = firstWait;
    this.#comeback.back();
    if (this.#online) return;
    this.#online = true;
    this.#tell("online", undefined);
  }

  #down() {
    if (this.#online) this.#comeback.lost();
    this.#online = false;
    this.told = false;
    this.#tell("offline", undefined);
    clearTimeout(this.#timer);
    const soon = this.lost && this.#wait < longestWait; // it was not refused
    const wait = soon ? this.#comeback.pause() : this.#wait * (0.8 + 0.4 * Math.random());
    this.#timer = setTimeout(() => this.#connect(), wait);
    if (!soon) this.#wait = Math.min(this.#wait * 1.7, longestWait);
  }
}

/**
 * parseEvent reads one event (HTML standard, section 9.2.6); undefined for one without data, such as a comment.
 * @param {string} block the lines of the event
 */
export function parseEvent(block) {
  let name = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length ? { name, data: data.join("\n") } : undefined;
}
