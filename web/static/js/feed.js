// Live updates of the server (GET /api/streams/events) that come back by themselves.
import { authorization } from "./api.js";

const firstWait = 1000;
const longestWait = 15000;
const silence = 40000; // the server sends a comment every 15 s
const restAfter = 20000; // out of sight; browsers give an origin six connections in all

// Feed dispatches "snapshot" (detail: streams), "stream" (one), "gone" (a name), "online" and "offline".
// It reads the stream itself: an EventSource sends no token, and never notices a connection that has died without a word.
export class Feed extends EventTarget {
  #server;
  #stream;
  #token;
  #abort; // none while it rests
  #timer;
  #rest;
  #wait = firstWait;
  #online;
  #rests;

  // A feed that rests lets go of its connection while its page is out of sight.
  constructor({ server = location.origin, stream, token, rests = false } = {}) {
    super();
    this.#rests = rests;
    this.#server = server;
    this.#stream = stream;
    this.#token = token;
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
    if (document.hidden) this.#rest = setTimeout(() => this.#disconnect(), restAfter);
    else if (!this.#online) this.#connect();
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
  }

  async #read(url) {
    const abort = new AbortController();
    this.#abort = abort;
    let quiet;
    const heard = () => {
      clearTimeout(quiet);
      quiet = setTimeout(() => abort.abort(), silence);
    };
    try {
      heard();
      await this.#token?.fresh?.();
      const response = await fetch(url, { headers: { ...authorization(this.#token), Accept: "text/event-stream" }, cache: "no-store", signal: abort.signal });
      if (!response.ok) {
        if (response.status < 500 && response.status !== 429) this.#wait = longestWait; // it will be refused again, until something changes
        throw new Error(String(response.status));
      }
      this.#up();
      await this.#parse(response.body.pipeThrough(new TextDecoderStream()).getReader(), heard);
    } catch {
      // Whatever it was: try again below.
    }
    clearTimeout(quiet);
    abort.abort();
    if (this.#abort === abort) this.#down();
  }

  async #parse(reader, heard) {
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) this.#event(block);
    }
  }

  #event(block) {
    let name = "message";
    const data = [];
    for (const line of block.split(/\r?\n/)) {
      if (line.startsWith("event:")) name = line.slice(6).trim();
      else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
    }
    if (data.length) this.#take(name, data.join("\n"));
  }

  #take(name, text) {
    let data;
    try {
      data = JSON.parse(text);
    } catch {
      return;
    }
    const detail = name === "snapshot" ? (data.streams ?? []) : name === "gone" ? data.name : data;
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #up() {
    this.#wait = firstWait;
    if (this.#online) return;
    this.#online = true;
    this.dispatchEvent(new Event("online"));
  }

  #down() {
    this.#online = false;
    this.dispatchEvent(new Event("offline"));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), this.#wait * (0.8 + 0.4 * Math.random()));
    this.#wait = Math.min(this.#wait * 1.7, longestWait);
  }
}
