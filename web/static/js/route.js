// What happens to one connection on its way, so that a failure can be named and told to whoever runs the server.
import { relayTransport } from "./ice.js";

const unreachable = 701; // an icecandidateerror's code when the relay gave no answer (webrtc-pc section 4.8.2)

// Route watches pc from its making. No address of anyone and no credential is kept.
export class Route {
  marks = []; // [what, milliseconds since the beginning]
  #pc;
  #began = performance.now();
  #errors = new Map(); // by URL of the relay: {code, text}
  #gathered = new Map(); // how many candidates of each kind
  #relays = new Set(); // transports over which a relay let us in

  constructor(pc) {
    this.#pc = pc;
    pc.addEventListener("icecandidate", ({ candidate }) => candidate?.candidate && this.#gather(candidate));
    pc.addEventListener("icecandidateerror", ({ url, errorCode, errorText }) => {
      if (!relayTransport(url) || this.#errors.get(url)?.code < unreachable) return;
      this.#errors.set(url, { code: errorCode, text: errorText });
    });
    pc.addEventListener("iceconnectionstatechange", () => this.mark(`ice ${pc.iceConnectionState}`));
    pc.addEventListener("connectionstatechange", () => this.mark(pc.connectionState));
  }

  mark(what) {
    this.marks.push([what, Math.round(performance.now() - this.#began)]);
  }

  reached(what) {
    return this.marks.some(([name]) => name === what);
  }

  #gather(candidate) {
    let kind = `${candidate.type} ${candidate.protocol}`;
    if (candidate.type === "relay") {
      const transport = candidate.relayProtocol || relayTransport(candidate.url ?? "") || "?"; // some browsers do not say
      this.#relays.add(transport);
      kind = `relay over ${transport}`;
    }
    this.#gathered.set(kind, (this.#gathered.get(kind) ?? 0) + 1);
  }

  // #asked is what pc was told, and what it was answered.
  #asked() {
    try {
      const { iceServers = [], iceTransportPolicy } = this.#pc.getConfiguration();
      return { urls: iceServers.flatMap(({ urls }) => [urls].flat()), onlyRelay: iceTransportPolicy === "relay", answer: this.#pc.remoteDescription?.sdp ?? "" };
    } catch {
      return { urls: [], onlyRelay: false, answer: "" }; // Firefox says nothing of what is closed
    }
  }

  // verdict names what stopped a connection at a stage (connect, secure, media or decode), by what was tried.
  // cause: blocked, refused, norelay, relayless (none where only relays were to be used), dtls, media or decode; code is the relay's when it refused.
  verdict(stage) {
    const { urls, onlyRelay, answer } = this.#asked();
    const offered = new Set(urls.map(relayTransport).filter(Boolean));
    const tried = onlyRelay ? [] : ["udp"];
    if (!onlyRelay && /^a=candidate:\S+ \d+ tcp /im.test(answer)) tried.push("tcp");
    for (const transport of ["udp", "tcp", "tls"]) if (offered.has(transport)) tried.push(`relay-${transport}`);
    const refusal = [...this.#errors.values()].find(({ code }) => code < unreachable);
    let cause = { secure: "dtls", media: "media", decode: "decode" }[stage] ?? "blocked";
    if (cause === "blocked" && refusal && !this.#relays.size) cause = "refused";
    if (cause === "blocked" && !offered.size) cause = onlyRelay ? "relayless" : "norelay";
    return { cause, tried, code: cause === "refused" ? refusal.code : undefined };
  }

  // report is the same for those who want to know more, in lines of text. It must be asked for before pc is closed.
  async report() {
    const list = (map) => [...map].map(([kind, n]) => `${kind} x${n}`).join(", ") || "none";
    const { urls, answer } = this.#asked();
    const lines = [
      `times    ${this.marks.map(([what, at]) => `${what} ${at} ms`).join(", ")}`,
      `ours     ${list(this.#gathered)}`,
      `theirs   ${list(remoteKinds(answer))}`,
    ];
    for (const url of urls.filter(relayTransport)) {
      const error = this.#errors.get(url);
      const open = this.#relays.has(relayTransport(url)) ? "open" : this.#relays.has("?") ? "perhaps open" : "";
      lines.push(`relay    ${url}: ${open || (error ? `error ${error.code} ${error.text}` : "no answer")}`);
    }
    try {
      lines.push(...pairs(await this.#pc.getStats()));
    } catch {
      // It is closed already.
    }
    return lines;
  }
}

function remoteKinds(sdp) {
  const kinds = new Map();
  for (const [, protocol, type] of sdp.matchAll(/^a=candidate:\S+ 1 (\S+) \d+ \S+ \d+ typ (\S+)/gim)) {
    const kind = `${type} ${protocol.toLowerCase()}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  return kinds;
}

// pairs tells of the connectivity checks, and of what has come through.
function pairs(reports) {
  const found = new Map();
  const lines = [];
  for (const report of reports.values()) {
    if (report.type === "candidate-pair") {
      const [local, remote] = [reports.get(report.localCandidateId), reports.get(report.remoteCandidateId)];
      const via = local?.relayProtocol ? `relay over ${local.relayProtocol}` : `${local?.candidateType ?? "?"} ${local?.protocol ?? ""}`;
      const key = `${via} to ${remote?.candidateType ?? "?"}: ${report.state}`;
      const sum = found.get(key) ?? { sent: 0, answered: 0 };
      found.set(key, { sent: sum.sent + (report.requestsSent ?? 0), answered: sum.answered + (report.responsesReceived ?? 0) });
    } else if (report.type === "inbound-rtp") {
      lines.push(`received ${report.kind}: ${report.packetsReceived ?? 0} packets${report.kind === "video" ? `, ${report.framesDecoded ?? 0} frames decoded` : ""}`);
    }
  }
  return [...[...found].map(([key, { sent, answered }]) => `pair     ${key}, ${sent} checks, ${answered} answers`), ...lines];
}

// fullReport puts a head on the lines of a route's report.
export function fullReport({ what, stage, problem, server, stream, attempt, lines = [] }) {
  return [
    `Siaran: ${what}`,
    `time     ${new Date().toISOString()}, attempt ${attempt}`,
    `where    ${stream} at ${new URL(server).host}`,
    `stage    ${stage}${problem.status > 0 ? `, HTTP ${problem.status}` : ""}${problem.message ? `, ${problem.message}` : ""}`,
    ...lines,
    `browser  ${navigator.userAgent}`,
  ].join("\n");
}
