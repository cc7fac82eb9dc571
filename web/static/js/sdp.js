// @ts-check
// Edits of offers and answers for which browsers have no API, and the parts of SDP and of headers that WHIP needs.

/**
 * stereoOpus asks for stereo sound: Chrome plays Opus as mono unless its own offer says stereo=1
 * (https://github.com/w3c/webrtc-pc/issues/3010).
 * @param {string} sdp
 * @param {string} [extra] more parameters, each with a leading semicolon
 */
export function stereoOpus(sdp, extra = "") {
  const types = new Set([...sdp.matchAll(/^a=rtpmap:(\d+) opus\/48000/gim)].map((match) => match[1]));
  return sdp.replace(/^a=fmtp:(\d+) ([^\r\n]*)/gm, (line, type, parameters) => {
    if (!types.has(type)) return line;
    const kept = parameters.split(";").filter((/** @type {string} */ part) => !/^\s*(stereo|sprop-stereo)=/.test(part));
    return `a=fmtp:${type} ${[...kept, "stereo=1", "sprop-stereo=1"].join(";")}${extra}`;
  });
}

/**
 * repairedOpus offers to send sound again that is lost (NACK), which Chrome does without offering it.
 * @param {string} sdp
 */
export function repairedOpus(sdp) {
  return sdp.replace(/^a=rtpmap:(\d+) opus\/48000[^\r\n]*/gim, (line, type) => {
    const feedback = `a=rtcp-fb:${type} nack`;
    return sdp.includes(`${feedback}\r\n`) ? line : `${line}\r\n${feedback}`;
  });
}

const descriptors = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/**
 * offerDescriptors offers to take dependency descriptors, without which AV1 with spatial layers comes whole.
 * @param {RTCRtpTransceiver} transceiver
 */
export function offerDescriptors(transceiver) {
  const extensions = transceiver.getHeaderExtensionsToNegotiate?.();
  const ours = extensions?.find(({ uri }) => uri === descriptors);
  if (!ours) return;
  ours.direction = "sendrecv";
  transceiver.setHeaderExtensionsToNegotiate?.(extensions);
}

/**
 * iceCredentials gives those of the BUNDLE-tagged section, which count for all sections (RFC 9143 section 7.3).
 * @param {string} sdp
 */
export function iceCredentials(sdp) {
  const value = (/** @type {string} */ name) => new RegExp(`^a=${name}:([^\\r\\n]+)`, "m").exec(sdp)?.[1] ?? "";
  const media = /^m=([^\r\n]+)/m.exec(sdp)?.[0] ?? "";
  return { ufrag: value("ice-ufrag"), password: value("ice-pwd"), mid: value("mid"), media };
}

/**
 * fragment is the body of a PATCH that brings candidates (RFC 8840 section 9).
 * @param {string} sdp the offer
 * @param {string[]} candidates
 * @param {boolean} complete no more will follow
 */
export function fragment(sdp, candidates, complete) {
  const { ufrag, password, mid, media } = iceCredentials(sdp);
  const lines = [`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${password}`, media, `a=mid:${mid}`];
  for (const candidate of candidates) lines.push(`a=${candidate.replace(/^a=/, "")}`);
  if (complete) lines.push("a=end-of-candidates");
  return `${lines.join("\r\n")}\r\n`;
}

/**
 * restarted is a description with the ICE credentials and candidates of a fragment instead of its own.
 * @param {string} sdp
 * @param {string} answer the fragment
 */
export function restarted(sdp, answer) {
  const { ufrag, password } = iceCredentials(answer);
  const candidates = answer.match(/^a=(candidate:[^\r\n]+|end-of-candidates)/gm) ?? [];
  let first = true; // candidates are in the section whose transport counts for all
  return sdp
    .replace(/^a=(candidate:[^\r\n]*|end-of-candidates)\r?\n/gm, "")
    .replace(/^a=ice-ufrag:[^\r\n]*/gm, () => `a=ice-ufrag:${ufrag}`)
    .replace(/^a=ice-pwd:[^\r\n]*/gm, () => {
      const lines = [`a=ice-pwd:${password}`, ...(first ? candidates : [])];
      first = false;
      return lines.join("\r\n");
    });
}

/**
 * iceServers reads Link headers of the relation ice-server (RFC 9725 section 4.6).
 * @param {string | null} link
 */
export function iceServers(link) {
  /** @type {RTCIceServer[]} */
  const servers = [];
  for (const [, url, rest] of (link ?? "").matchAll(/<([^>]*)>([^<]*)/g)) {
    const found = [...rest.matchAll(/;\s*([\w-]+)="?([^";,]*)"?/g)].map((match) => [match[1].toLowerCase(), match[2]]);
    const parameters = Object.fromEntries(found);
    if (parameters.rel !== "ice-server") continue;
    const { username, credential } = parameters;
    servers.push(username ? { urls: url, username, credential } : { urls: url });
  }
  return servers;
}

/**
 * extension is the address of one of WHEP's extensions in Link headers, relative to the session's; empty if it is not
 * there.
 * @param {string | null} link
 * @param {string} name
 */
export function extension(link, name) {
  for (const [, url, rest] of (link ?? "").matchAll(/<([^>]*)>([^<]*)/g)) {
    if (/;\s*rel="?([^";,]*)"?/.exec(rest)?.[1] === `urn:ietf:params:whep:ext:core:${name}`) return url;
  }
  return "";
}

/**
 * startBitrate tells Chrome how fast to begin. By default it begins at 300 kbit/s, shrinks the picture, and takes a
 * minute to speed up. Other browsers ignore the parameter.
 * @param {string} answer
 * @param {number} kilobits a second
 */
export function startBitrate(answer, kilobits) {
  const parameter = `x-google-start-bitrate=${kilobits}`;
  const sections = answer.split(/(?=^m=)/m).map((section) => {
    if (!section.startsWith("m=video")) return section;
    const [, type] = /^a=rtpmap:(\d+) (?!rtx\/)/m.exec(section) ?? [];
    if (!type) return section;
    const line = new RegExp(`^(a=fmtp:${type} [^\\r\\n]*)`, "m");
    if (line.test(section)) return section.replace(line, `$1;${parameter}`);
    return section.replace(new RegExp(`^(a=rtpmap:${type} [^\\r\\n]*)`, "m"), `$1\r\na=fmtp:${type} ${parameter}`);
  });
  return sections.join("");
}
