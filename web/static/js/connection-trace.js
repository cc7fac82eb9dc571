// @ts-check
// What happens to one connection, so that a failure can be named and reported to the operator of the server.
import { relayTransport } from "./ice.js";

const unreachable = 701; // an icecandidateerror's code when the relay gave no answer (webrtc-pc section 4.8.2)

/**
 * @typedef {"blocked" | "refused" | "norelay" | "relayless" | "dtls" | "media" | "decode"} Cause "norelay": the server
 *   offers no relay; "relayless": none of the kind that the page was told to use
 * @typedef {"udp" | "tcp" | "relay-udp" | "relay-tcp" | "relay-tls"} Way
 * @typedef {{ cause: Cause, tried: Way[], code?: number }} Verdict code is the relay's when it refused
 */

/** ConnectionTrace watches pc from when it was made. It keeps no address of anyone, and no credential. */
export class ConnectionTrace {
  /** @type {[what: string, at: number][]} */
  marks = []; // in milliseconds since the beginning
  #pc;
  #began = performance.now();
  /** @type {Map<string, { code: number, text: string }>} */
  #errors = new Map(); // by URL of the relay
  /** @type {Map<string, number>} */
  #gathered = new Map(); // how many candidates of each kind
  /** @type {Set<string>} */
  #relays = new Set(); // transports over which a relay has given us an address

  /** @param {RTCPeerConnection} pc */
  constructor(pc) {
    this.#pc = pc;
    pc.addEventListener("icecandidate", ({ candidate }) => candidate?.candidate && this.#gather(candidate));
    pc.addEventListener("icecandidateerror", ({ url, errorCode, errorText }) => {
      const before = this.#errors.get(url)?.code ?? Infinity;
      if (!relayTransport(url) || before < unreachable) return;
      this.#errors.set(url, { code: errorCode, text: errorText });
    });
    pc.addEventListener("iceconnectionstatechange", () => this.mark(`ice ${pc.iceConnectionState}`));
    pc.addEventListener("connectionstatechange", () => this.mark(pc.connectionState));
  }

  /** @param {string} what */
  mark(what) {
    this.marks.push([what, Math.round(performance.now() - this.#began)]);
  }

  /** @param {string} what */
  reached(what) {
    return this.marks.some(([name]) => name === what);
  }

  /** @param {RTCIceCandidate} candidate */
  #gather(candidate) {
    let kind = `${candidate.type} ${candidate.protocol}`;
    if (candidate.type === "relay") {
      // Some browsers do not say which transport it is.
      const transport = candidate.relayProtocol || relayTransport(candidate.url ?? "") || "?";
      this.#relays.add(transport);
      kind = `relay over ${transport}`;
    }
    this.#gathered.set(kind, (this.#gathered.get(kind) ?? 0) + 1);
  }

  /** #asked is what pc was told, and what it was answered. */
  #asked() {
    try {
      const { iceServers = [], iceTransportPolicy } = this.#pc.getConfiguration();
      return {
        urls: iceServers.flatMap(({ urls }) => [urls].flat()),
        onlyRelay: iceTransportPolicy === "relay",
        answer: this.#pc.remoteDescription?.sdp ?? "",
      };
    } catch {
      return { urls: [], onlyRelay: false, answer: "" }; // Firefox says nothing about a closed connection
    }
  }

  /**
   * verdict names what stopped the connection at a stage, by what was tried.
   * @param {import("./first-media.js").Stage} stage connect, secure, media or decode
   * @returns {Verdict}
   */
  verdict(stage) {
    const { urls, onlyRelay, answer } = this.#asked();
    const offered = new Set(urls.map(relayTransport).filter(Boolean));
    /** @type {Way[]} */
    const tried = onlyRelay ? [] : ["udp"];
    if (!onlyRelay && /^a=candidate:\S+ \d+ tcp /im.test(answer)) tried.push("tcp");
    for (const transport of /** @type {const} */ (["udp", "tcp", "tls"])) {
      if (offered.has(transport)) tried.push(`relay-${transport}`);
    }
    if (stage === "secure") return { cause: "dtls", tried };
    if (stage === "media" || stage === "decode") return { cause: stage, tried };
    const refusal = [...this.#errors.values()].find(({ code }) => code < unreachable);
    if (refusal && !this.#relays.size) return { cause: "refused", tried, code: refusal.code };
    if (!offered.size) return { cause: onlyRelay ? "relayless" : "norelay", tried };
    return { cause: "blocked", tried };
  }

  /** report gives the details, in lines of text. It must be called before pc is closed. */
  async report() {
    const { urls, answer } = this.#asked();
    const lines = [
      `times    ${this.marks.map(([what, at]) => `${what} ${at} ms`).join(", ")}`,
      `ours     ${countsInWords(this.#gathered)}`,
      `theirs   ${countsInWords(remoteKinds(answer))}`,
    ];
    for (const url of urls.filter(relayTransport)) {
      const error = this.#errors.get(url);
      const open = this.#relays.has(relayTransport(url)) ? "open" : this.#relays.has("?") ? "perhaps open" : "";
      lines.push(`relay    ${url}: ${open || (error ? `error ${error.code} ${error.text}` : "no answer")}`);
    }
    try {
      lines.push(...pairsInWords(await this.#pc.getStats()));
    } catch {
      // It is closed already.
    }
    return lines;
  }
}

/** @param {Map<string, number>} counts */
const countsInWords = (counts) => [...counts].map(([kind, n]) => `${kind} x${n}`).join(", ") || "none";

/**
 * remoteKinds counts the candidates of the other side by kind.
 * @param {string} sdp
 */
function remoteKinds(sdp) {
  /** @type {Map<string, number>} */
  const kinds = new Map();
  for (const [, protocol, type] of sdp.matchAll(/^a=candidate:\S+ 1 (\S+) \d+ \S+ \d+ typ (\S+)/gim)) {
    const kind = `${type} ${protocol.toLowerCase()}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  return kinds;
}

/**
 * pairsInWords is about the connectivity checks, and about what has come through.
 * @param {PageStatsReport} reports
 */
function pairsInWords(reports) {
  /** @type {Map<string, { sent: number, answered: number }>} */
  const found = new Map();
  const lines = [];
  for (const report of reports.values()) {
    if (report.type === "candidate-pair") {
      const local = reports.get(report.localCandidateId ?? "");
      const remote = reports.get(report.remoteCandidateId ?? "");
      const direct = `${local?.candidateType ?? "?"} ${local?.protocol ?? ""}`;
      const via = local?.relayProtocol ? `relay over ${local.relayProtocol}` : direct;
      const key = `${via} to ${remote?.candidateType ?? "?"}: ${report.state}`;
      const { sent, answered } = found.get(key) ?? { sent: 0, answered: 0 };
      found.set(key, {
        sent: sent + (report.requestsSent ?? 0), answered: answered + (report.responsesReceived ?? 0),
      });
    } else if (report.type === "inbound-rtp") {
      const frames = report.kind === "video" ? `, ${report.framesDecoded ?? 0} frames decoded` : "";
      lines.push(`received ${report.kind}: ${report.packetsReceived ?? 0} packets${frames}`);
    }
  }
  const pairs = [...found].map(([key, { sent, answered }]) => `pair     ${key}, ${sent} checks, ${answered} answers`);
  return [...pairs, ...lines];
}

/**
 * fullReport puts a head on the lines of a trace's report.
 * @param {object} about
 * @param {string} about.what
 * @param {string} about.stage
 * @param {import("./api.js").Problem} about.problem
 * @param {string} about.server
 * @param {string} about.stream
 * @param {number} about.attempt
 * @param {string[]} [about.lines]
 */
export function fullReport({ what, stage, problem, server, stream, attempt, lines = [] }) {
  const status = problem.status > 0 ? `, HTTP ${problem.status}` : "";
  const message = problem.message ? `, ${problem.message}` : "";
  return [
    `Siaran: ${what}`,
    `time     ${new Date().toISOString()}, attempt ${attempt}`,
    `where    ${stream} at ${new URL(server).host}`,
    `stage    ${stage}${status}${message}`,
    ...lines,
    `browser  ${navigator.userAgent}`,
  ].join("\n");
}
