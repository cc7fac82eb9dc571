// @ts-check
// What a viewer gets of a stream with several layers, and its own say in it (the layer extension of WHEP).
import { request, requestJSON } from "./api.js";
import { t } from "./i18n.js";

/** @import { Token } from "./api.js" */

/** @typedef {"auto" | "sound" | number} Choice a number is the height of a layer in pixels */

const kept = "siaran-quality";

/** Quality dispatches "change" when layers, viewing or choice has changed. */
export class Quality extends EventTarget {
  /** @type {number[]} */
  heights = []; // that can be chosen, the largest first; empty: there is nothing to choose
  /** @type {API.Viewing | undefined} */
  viewing; // what the server sends now
  #token;
  /** @type {import("./session.js").Session | undefined} */
  #session;
  /** @type {EventSource | undefined} */
  #events;
  #place = ""; // of the events, once there are any
  #remembered = remembered();
  #applied = false; // the choice has been sent in this session

  /** @param {Token} token */
  constructor(token) {
    super();
    this.#token = token;
  }

  /** @returns {Choice} */
  get choice() {
    return this.heights.length ? this.#remembered : "auto";
  }

  /**
   * begin is about a session that plays.
   * @param {import("./session.js").Session} session
   */
  begin(session) {
    this.end();
    this.#session = session;
    document.addEventListener("visibilitychange", this.#onSight);
    this.look();
  }

  end() {
    document.removeEventListener("visibilitychange", this.#onSight);
    this.#events?.close();
    this.#events = this.#session = this.viewing = undefined;
    this.#place = "";
    this.#applied = false;
    this.heights = [];
    this.#tell();
  }

  /** look asks the server what there is to choose. */
  async look() {
    const session = this.#session;
    if (!session?.layers || this.#events) return;
    try {
      /** @type {API.ViewerLayers} */
      const { layers, viewing } = await requestJSON(session.layers, { token: this.#token });
      if (this.#session !== session) return;
      this.viewing = viewing;
      this.#take(layers);
      if (this.heights.length) await this.#follow(session);
    } catch {
      // A player without a choice is a good player.
    }
  }

  /** @param {API.ViewerLayers["layers"]} layers */
  #take(layers) {
    const all = new Set(Object.values(layers).flat().map(({ height }) => height ?? 0));
    all.delete(0);
    // While nothing is sent there is nothing to choose, and what was there may come back.
    if (all.size > 1) this.heights = [...all].sort((a, b) => b - a);
    else if (all.size === 1) this.heights = [];
    if (this.heights.length && !this.#applied) {
      this.#applied = true;
      if (this.#remembered !== "auto") this.#send();
    }
    this.#tell();
  }

  /** @param {import("./session.js").Session} session */
  async #follow(session) {
    if (this.#place || !session.events) return;
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify(["layers", "viewing"]);
    const response = await request(session.events, { method: "POST", token: this.#token, headers, body });
    if (this.#session !== session) return;
    this.#place = new URL(response.headers.get("Location") ?? "", session.events).href;
    this.#onSight();
  }

  /** Browsers allow six connections to an origin in all, so a page out of sight holds none. */
  #onSight = () => {
    if (document.hidden) {
      this.#events?.close();
      this.#events = undefined;
    } else if (this.#place && !this.#events) {
      this.#events = new EventSource(this.#place);
      this.#events.addEventListener("layers", ({ data }) => this.#take(JSON.parse(data)));
      this.#events.addEventListener("viewing", ({ data }) => {
        this.viewing = JSON.parse(data);
        this.#tell();
      });
    }
  };

  /**
   * choose says what the viewer wants from now on, and on its next visits.
   * @param {Choice} choice
   */
  choose(choice) {
    this.#remembered = choice;
    try {
      localStorage.setItem(kept, String(choice));
    } catch {
      // The browser allows no storage: the choice lasts as long as the page.
    }
    this.#send();
    this.#tell();
  }

  async #send() {
    const choice = this.#remembered;
    const json = choice === "auto" ? {} : choice === "sound" ? { audioOnly: true } : { maxHeight: choice };
    const url = this.#session?.layers;
    if (!url) return;
    try {
      const body = JSON.stringify(json);
      await request(url, { method: "POST", token: this.#token, headers: { "Content-Type": "application/json" }, body });
    } catch {
      // The server goes on as before, and says with its next event what that is.
    }
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @returns {Choice} */
function remembered() {
  try {
    const text = localStorage.getItem(kept);
    if (text === "sound") return text;
    return Number(text) > 0 ? Number(text) : "auto";
  } catch {
    return "auto";
  }
}

/**
 * viewingInWords is what the server sends, such as 360p, and why it is not the best there is.
 * @param {API.Viewing} [viewing]
 */
export function viewingInWords(viewing) {
  if (!viewing) return "";
  if (viewing.reason === "sound only") return t("quality.sound");
  if (!viewing.height) return "";
  const size = `${viewing.height}p`;
  if (viewing.reason === "bandwidth") return t("quality.why", { size, why: t("quality.bandwidth") });
  return viewing.reason === "silent layer" ? t("quality.why", { size, why: t("quality.silent") }) : size;
}
