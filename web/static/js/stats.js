// @ts-check
// What a connection does, from two successive reports of getStats().

/**
 * @typedef {{ relayed: boolean, transport: string }} MediaPath transport is that to the relay, or to the server
 *
 * @typedef {object} InboundStats what a viewer gets
 * @property {number} bitrate in bits a second
 * @property {number} loss share of the packets, from 0 to 1
 * @property {number} [rtt] in seconds
 * @property {MediaPath} [path]
 * @property {string[]} codecs
 * @property {number} [width]
 * @property {number} [height]
 * @property {number} [fps]
 * @property {number} [framesDecoded]
 * @property {number} [freezes]
 * @property {number} [buffer] in seconds
 * @property {number} [latency] in seconds: an estimate
 * @property {API.Viewing} [viewing] what the server sends of a stream with several layers
 *
 * @typedef {object} OutboundStats what a broadcaster sends
 * @property {number} bitrate in bits a second
 * @property {number} loss share of the packets, from 0 to 1
 * @property {number} [rtt] in seconds
 * @property {MediaPath} [path]
 * @property {string[]} codecs
 * @property {Record<string, number>} sent bytes a second by kind
 * @property {number} [width]
 * @property {number} [height]
 * @property {number} [fps]
 * @property {number} [framesSent]
 * @property {number} [available] bits a second that the browser believes the connection carries
 * @property {string} [limited] why the encoder sends less than it was asked for: bandwidth, cpu, other or none
 */

const oneFrame = 0.016; // seconds that a picture waits for the screen

/** Rates makes rates out of counters; it remembers the last report of each kind. */
export class Rates {
  /** @type {Map<string, PageStats>} */
  #last = new Map();

  /**
   * of gives the growth a second of each named counter since the last look at the same report.
   * @template {keyof PageStats} Name
   * @param {PageStats} report
   * @param {Name[]} names
   * @returns {Record<Name, number>}
   */
  of(report, names) {
    const before = this.#last.get(report.id);
    this.#last.set(report.id, report);
    const seconds = before ? (report.timestamp - before.timestamp) / 1000 : 0;
    const growth = (/** @type {Name} */ name) => Number(report[name] ?? 0) - Number(before?.[name] ?? 0);
    const rates = names.map((name) => [name, seconds > 0 ? Math.max(0, growth(name) / seconds) : 0]);
    return Object.fromEntries(rates);
  }
}

/** @type {(reports: PageStatsReport, report: PageStats) => string} */
const codecName = (reports, report) => reports.get(report.codecId ?? "")?.mimeType?.split("/")[1] ?? "";

/** @param {PageStatsReport} reports */
function selectedPair(reports) {
  const all = [...reports.values()];
  const selected = all.find(({ type, selectedCandidatePairId }) => type === "transport" && selectedCandidatePairId);
  if (selected) return reports.get(selected.selectedCandidatePairId ?? "");
  // Firefox has no selectedCandidatePairId.
  return all.find(({ type, selected, nominated, state }) =>
    type === "candidate-pair" && (selected || (nominated && state === "succeeded")));
}

/**
 * pathOf says which way the media goes; undefined before there is one.
 * @param {PageStatsReport} reports
 * @param {PageStats} [pair]
 * @returns {MediaPath | undefined}
 */
function pathOf(reports, pair) {
  const local = reports.get(pair?.localCandidateId ?? "");
  if (!local) return undefined;
  // A server that runs the relay itself sees the relay under another address. That turns our candidate into a
  // reflexive one, of which only relayProtocol says that it is relayed.
  const relayed = local.candidateType === "relay" || Boolean(local.relayProtocol);
  return { relayed, transport: local.relayProtocol || local.protocol || "udp" };
}

/**
 * flows sums up what has arrived of each kind; frames are those that were decoded.
 * @param {PageStatsReport} reports
 * @returns {Map<string, { packets: number, frames: number }>}
 */
export function flows(reports) {
  const list = new Map();
  for (const { type, kind, packetsReceived = 0, framesDecoded = 0 } of reports.values()) {
    if (type !== "inbound-rtp") continue;
    const sum = list.get(kind) ?? { packets: 0, frames: 0 };
    list.set(kind, { packets: sum.packets + packetsReceived, frames: sum.frames + framesDecoded });
  }
  return list;
}

/**
 * inbound is what a viewer gets. The latency is estimated as half a round trip, the jitter buffer, decoding, and one
 * frame on the screen.
 * @param {PageStatsReport} reports
 * @param {Rates} rates
 * @returns {InboundStats}
 */
export function inbound(reports, rates) {
  const pair = selectedPair(reports);
  /** @type {InboundStats} */
  const out = { bitrate: 0, loss: 0, rtt: pair?.currentRoundTripTime, path: pathOf(reports, pair), codecs: [] };
  let lost = 0;
  let received = 0;
  for (const report of reports.values()) {
    if (report.type !== "inbound-rtp") continue;
    const rate = rates.of(report, [
      "bytesReceived", "framesDecoded", "totalDecodeTime", "jitterBufferDelay", "jitterBufferEmittedCount",
      "packetsLost", "packetsReceived",
    ]);
    out.bitrate += rate.bytesReceived * 8;
    lost += rate.packetsLost;
    received += rate.packetsReceived;
    out.codecs.push(codecName(reports, report));
    if (report.kind !== "video") continue;
    const buffer = rate.jitterBufferEmittedCount ? rate.jitterBufferDelay / rate.jitterBufferEmittedCount : 0;
    const decode = rate.framesDecoded ? rate.totalDecodeTime / rate.framesDecoded : 0;
    Object.assign(out, {
      width: report.frameWidth, height: report.frameHeight, fps: rate.framesDecoded,
      framesDecoded: report.framesDecoded, freezes: report.freezeCount, buffer,
    });
    out.latency = (out.rtt ?? 0) / 2 + buffer + decode + oneFrame;
  }
  if (lost + received > 0) out.loss = lost / (lost + received);
  out.codecs = out.codecs.filter(Boolean).sort();
  return out;
}

/**
 * outbound is what a broadcaster sends; of several layers of the picture the largest counts.
 * @param {PageStatsReport} reports
 * @param {Rates} rates
 * @returns {OutboundStats}
 */
export function outbound(reports, rates) {
  const pair = selectedPair(reports);
  /** @type {OutboundStats} */
  const out = {
    bitrate: 0, rtt: pair?.currentRoundTripTime, path: pathOf(reports, pair), loss: 0, codecs: [], sent: {},
    available: pair?.availableOutgoingBitrate,
  };
  for (const report of reports.values()) {
    if (report.type === "remote-inbound-rtp") {
      out.rtt ??= report.roundTripTime;
      if (report.kind === "video" || !out.loss) out.loss = report.fractionLost ?? 0;
    }
    if (report.type !== "outbound-rtp") continue;
    const rate = rates.of(report, ["bytesSent"]);
    const kind = report.kind ?? "";
    out.bitrate += rate.bytesSent * 8;
    out.sent[kind] = (out.sent[kind] ?? 0) + rate.bytesSent;
    out.codecs.push(codecName(reports, report));
    if (kind !== "video" || (report.frameWidth ?? 0) < (out.width ?? 0)) continue;
    Object.assign(out, {
      width: report.frameWidth, height: report.frameHeight, fps: report.framesPerSecond ?? 0,
      limited: report.qualityLimitationReason, framesSent: report.framesSent,
    });
  }
  out.codecs = [...new Set(out.codecs.filter(Boolean))].sort();
  return out;
}
