// @ts-check
// The client side of WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep-04). The two differ only in the direction of the
// media.
import { authorization, localFailure, Problem, request } from "./api.js";
import { setICEServers } from "./ice.js";
import { extension, fragment, iceServers, restarted } from "./sdp.js";

/** @import { Token } from "./api.js" */
/** @import { RelayChoice } from "./ice.js" */

const trickleDelay = 40; // milliseconds; candidates that come together go in one PATCH
const restartTime = 5000; // milliseconds that the PATCH of a restart may take
const hangUpTime = 1000; // milliseconds that the DELETE of a session may take before the connection is closed anyway

/**
 * @typedef {object} OpenOptions
 * @property {Token} [token]
 * @property {(sdp: string) => string} [edit] changes the offer, and that of a restart
 * @property {(sdp: string) => string} [editAnswer] changes what this side takes from the answer
 * @property {(name: "offer" | "sent" | "answered" | "answer") => unknown} [step] is called when the offer is made, and
 *   awaited then; when it is sent; when the server has answered; and when the answer is applied
 * @property {AbortSignal} [signal]
 * @property {Promise<RTCIceServer[]>} [ice] ICE servers that come before those of the answer
 * @property {RelayChoice} [relay]
 * @property {RequestRedirect} [redirect] "manual" turns a redirect into a Problem of status 307
 */

/**
 * open offers what pc holds to a WHIP or WHEP endpoint and applies the answer. On failure pc is left to the caller.
 * The offer does not wait for candidates. They are gathered as soon as ice brings servers, else with those of the
 * answer.
 * @param {RTCPeerConnection} pc
 * @param {string} endpoint
 * @param {OpenOptions} [options]
 * @returns {Promise<Session>}
 */
export async function open(pc, endpoint, options = {}) {
  const same = (/** @type {string} */ sdp) => sdp;
  const { token, edit = same, editAnswer = same, step = () => {}, signal, ice, relay = "" } = options;
  const offer = await pc.createOffer();
  const sdp = edit(offer.sdp ?? "");
  const session = new Session(pc, sdp, token, edit);
  /** @type {Promise<void> | undefined} */
  let gathering;
  const gather = (/** @type {RTCIceServer[]} */ servers) => {
    gathering ??= (setICEServers(pc, servers, relay), pc.setLocalDescription({ type: "offer", sdp }));
    return gathering;
  };
  // A failure to gather shows again below.
  ice?.then((servers) => (servers.length && pc.signalingState === "stable" ? gather(servers) : undefined))
    .catch(() => {});
  await step("offer");
  const headers = { "Content-Type": "application/sdp" };
  const asking = request(endpoint, { method: "POST", token, signal, redirect: options.redirect, headers, body: sdp });
  step("sent");
  const response = await asking;
  step("answered");
  const place = response.headers.get("Location");
  if (response.status !== 201 || !place) throw new Problem(response.status, "the server gave no session");
  // Relative to where a redirect has led, not to where the request was sent first.
  session.opened(new URL(place, response.url).href, response.headers.get("ETag"));
  session.extended(response.headers.get("Link"));
  try {
    const answer = editAnswer(await response.text());
    await gather(iceServers(response.headers.get("Link")));
    await pc.setRemoteDescription({ type: "answer", sdp: answer });
  } catch (error) {
    session.close();
    throw error;
  }
  step("answer");
  return session;
}

/**
 * onHangUp calls back when the other side has closed the session: browsers show that on the DTLS transport and nowhere
 * else.
 * @param {RTCPeerConnection} pc
 * @param {() => void} callback
 */
export function onHangUp(pc, callback) {
  const ends = [...pc.getSenders(), ...pc.getReceivers()].map((end) => end.transport);
  for (const transport of new Set(ends)) {
    transport?.addEventListener("statechange", () => ["closed", "failed"].includes(transport.state) && callback());
  }
}

/** Session is one session on the server, with the connection that belongs to it. */
export class Session {
  layers = ""; // where a viewer chooses what it gets, and
  events = ""; // where it opens its events; empty if the server has no such thing
  #pc;
  #sdp; // the newest offer
  #token;
  #edit;
  #url = ""; // empty before the server has answered
  /** @type {string | null} */
  #tag = null;
  #closed = false;
  /** @type {string[]} */
  #pending = []; // candidates
  #complete = false;
  /** @type {number | undefined} */
  #timer;
  #sending = Promise.resolve();
  #tricklable = true;

  /**
   * @param {RTCPeerConnection} pc
   * @param {string} sdp the offer
   * @param {Token} [token]
   * @param {(sdp: string) => string} [edit] changes the offer of a restart
   */
  constructor(pc, sdp, token, edit = (same) => same) {
    this.#pc = pc;
    this.#sdp = sdp;
    this.#token = token;
    this.#edit = edit;
    pc.addEventListener("icecandidate", ({ candidate }) => {
      if (!candidate || candidate.candidate === "") this.#complete = true;
      else if (candidate.component !== "rtcp") this.#pending.push(candidate.candidate);
      this.#schedule();
    });
  }

  /**
   * opened tells the session its address; candidates that were gathered before are sent there.
   * @param {string} url
   * @param {string | null} tag the session's entity tag
   */
  opened(url, tag) {
    this.#url = url;
    this.#tag = tag;
    this.#schedule();
  }

  /** @param {string | null} link the Link headers of the answer */
  extended(link) {
    const address = (/** @type {string} */ name) => {
      const url = extension(link, name);
      return url && new URL(url, this.#url).href;
    };
    this.layers = address("layer");
    this.events = address("server-sent-events");
  }

  #schedule() {
    clearTimeout(this.#timer);
    if (!this.#url) return;
    this.#timer = setTimeout(() => {
      this.#sending = this.#sending.then(() => this.#trickle());
    }, trickleDelay);
  }

  async #trickle() {
    const candidates = this.#pending.splice(0);
    if (this.#closed || !this.#tricklable || (!candidates.length && !this.#complete)) return;
    try {
      await this.#patch(this.#tag, candidates);
    } catch {
      this.#tricklable = false; // a server without trickle finds us by our checks (peer-reflexive candidates)
    }
  }

  /**
   * @param {string | null} tag
   * @param {string[]} candidates
   * @param {number} [timeout]
   */
  #patch(tag, candidates, timeout) {
    /** @type {Record<string, string>} */
    const headers = { "Content-Type": "application/trickle-ice-sdpfrag" };
    if (tag) headers["If-Match"] = tag;
    const body = fragment(this.#sdp, candidates, this.#complete);
    return request(this.#url, { method: "PATCH", token: this.#token, headers, body, timeout });
  }

  /**
   * restart restarts ICE (RFC 9725 section 4.3.3). It resolves when the answer is applied. When it rejects, the path
   * before it stays in use.
   * @returns {Promise<void>}
   */
  restart() {
    const restarting = this.#sending.then(() => this.#restart());
    this.#sending = restarting.catch(() => {});
    return restarting;
  }

  async #restart() {
    const pc = this.#pc;
    const before = { sdp: this.#sdp, answer: pc.currentRemoteDescription?.sdp };
    if (this.#closed || !before.answer) throw new Problem(localFailure, "the session is over");
    const offer = await pc.createOffer({ iceRestart: true });
    this.#sdp = this.#edit(offer.sdp ?? "");
    this.#pending = [];
    this.#complete = false;
    try {
      await pc.setLocalDescription({ type: "offer", sdp: this.#sdp });
      // Whatever the server has made of restarts whose answers were lost.
      const response = await this.#patch("*", this.#pending.splice(0), restartTime);
      if (response.status !== 200) throw new Problem(response.status, "the server did not restart ICE");
      const sdp = restarted(before.answer, await response.text());
      this.#tag = response.headers.get("ETag");
      await pc.setRemoteDescription({ type: "answer", sdp });
    } catch (error) {
      this.#sdp = before.sdp;
      this.#pending = [];
      if (pc.signalingState === "have-local-offer") await pc.setLocalDescription({ type: "rollback" });
      throw error;
    }
    this.#tricklable = true;
    this.#schedule();
  }

  /** close ends the session on the server and then here; it may be called while the page is being left. */
  close() {
    if (this.#closed) return;
    this.#stop();
    const hangUp = () => this.#pc.close();
    const headers = authorization(this.#token);
    fetch(this.#url, { method: "DELETE", keepalive: true, headers }).then(hangUp, hangUp);
    setTimeout(hangUp, hangUpTime);
  }

  /** abandon closes the connection without telling the server: a broadcast goes on with its next session. */
  abandon() {
    if (this.#closed) return;
    this.#stop();
    this.#pc.close();
  }

  #stop() {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}
