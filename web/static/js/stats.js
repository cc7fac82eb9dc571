// What a connection does, from two looks at getStats().

// Rates remembers the last look, to make rates out of counters.
export class Rates {
  #last = new Map();

  // of gives the growth a second of each named counter since the last look at the same report.
  of(report, names) {
    const before = this.#last.get(report.id);
    this.#last.set(report.id, report);
    const seconds = before ? (report.timestamp - before.timestamp) / 1000 : 0;
    return Object.fromEntries(names.map((name) => [name, seconds > 0 ? Math.max(0, ((report[name] ?? 0) - (before[name] ?? 0)) / seconds) : 0]));
  }
}

const codecName = (reports, report) => reports.get(report.codecId)?.mimeType?.split("/")[1] ?? "";

function selectedPair(reports) {
  const all = [...reports.values()];
  const transport = all.find((report) => report.type === "transport" && report.selectedCandidatePairId);
  if (transport) return reports.get(transport.selectedCandidatePairId);
  // Firefox has no selectedCandidatePairId.
  return all.find((report) => report.type === "candidate-pair" && (report.selected || (report.nominated && report.state === "succeeded")));
}

// pathOf is which way the media goes: relayed, and over udp, tcp or tls to the relay or the server; undefined before there is one.
function pathOf(reports, pair) {
  const local = reports.get(pair?.localCandidateId);
  if (!local) return undefined;
  // What a server sees of a relay in its own process is another address, which makes the candidate a reflexive one.
  const relayed = local.candidateType === "relay" || Boolean(local.relayProtocol);
  return { relayed, transport: local.relayProtocol || local.protocol || "udp" };
}

// received sums up what has come through.
export function received(reports) {
  const sum = { packets: 0, videoPackets: 0, frames: 0 };
  for (const report of reports.values()) {
    if (report.type !== "inbound-rtp") continue;
    sum.packets += report.packetsReceived ?? 0;
    if (report.kind !== "video") continue;
    sum.videoPackets += report.packetsReceived ?? 0;
    sum.frames += report.framesDecoded ?? 0;
  }
  return sum;
}

// inbound is what a viewer gets. Latency is an estimate in seconds: half a round trip, the jitter buffer, decoding, one frame on the screen.
export function inbound(reports, rates) {
  const pair = selectedPair(reports);
  const out = { bitrate: 0, lost: 0, received: 0, rtt: pair?.currentRoundTripTime, path: pathOf(reports, pair), codecs: [] };
  for (const report of reports.values()) {
    if (report.type !== "inbound-rtp") continue;
    const rate = rates.of(report, ["bytesReceived", "framesDecoded", "totalDecodeTime", "jitterBufferDelay", "jitterBufferEmittedCount", "packetsLost", "packetsReceived"]);
    out.bitrate += rate.bytesReceived * 8;
    out.lost += rate.packetsLost;
    out.received += rate.packetsReceived;
    out.codecs.push(codecName(reports, report));
    if (report.kind !== "video") continue;
    const buffer = rate.jitterBufferEmittedCount ? rate.jitterBufferDelay / rate.jitterBufferEmittedCount : 0;
    const decode = rate.framesDecoded ? rate.totalDecodeTime / rate.framesDecoded : 0;
    Object.assign(out, { width: report.frameWidth, height: report.frameHeight, fps: rate.framesDecoded, framesDecoded: report.framesDecoded, freezes: report.freezeCount, buffer });
    out.latency = (out.rtt ?? 0) / 2 + buffer + decode + 0.016;
  }
  out.loss = out.lost + out.received > 0 ? out.lost / (out.lost + out.received) : 0;
  out.codecs = out.codecs.filter(Boolean).sort();
  return out;
}

// outbound is what a broadcaster sends; the largest layer stands for the picture.
export function outbound(reports, rates) {
  const pair = selectedPair(reports);
  const out = { bitrate: 0, rtt: pair?.currentRoundTripTime, path: pathOf(reports, pair), loss: 0, codecs: [] };
  for (const report of reports.values()) {
    if (report.type === "remote-inbound-rtp") {
      out.rtt ??= report.roundTripTime;
      if (report.kind === "video" || !out.loss) out.loss = report.fractionLost ?? 0;
    }
    if (report.type !== "outbound-rtp") continue;
    const rate = rates.of(report, ["bytesSent"]);
    out.bitrate += rate.bytesSent * 8;
    out.codecs.push(codecName(reports, report));
    if (report.kind !== "video" || (report.frameWidth ?? 0) < (out.width ?? 0)) continue;
    Object.assign(out, { width: report.frameWidth, height: report.frameHeight, fps: report.framesPerSecond ?? 0, limited: report.qualityLimitationReason, framesSent: report.framesSent });
  }
  out.codecs = out.codecs.filter(Boolean).sort();
  return out;
}
