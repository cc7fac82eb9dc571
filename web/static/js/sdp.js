// The few edits of an own offer that browsers have no other way for.

// stereoOpus asks for stereo sound: Chrome plays Opus as mono unless its own offer says stereo=1 (w3c/webrtc-pc#3010).
export function stereoOpus(sdp, extra = "") {
  const types = new Set([...sdp.matchAll(/^a=rtpmap:(\d+) opus\/48000/gim)].map((match) => match[1]));
  return sdp.replace(/^a=fmtp:(\d+) ([^\r\n]*)/gm, (line, type, parameters) => {
    if (!types.has(type)) return line;
    const kept = parameters.split(";").filter((part) => !/^\s*(stereo|sprop-stereo)=/.test(part));
    return `a=fmtp:${type} ${[...kept, "stereo=1", "sprop-stereo=1"].join(";")}${extra}`;
  });
}

// iceCredentials are those of the BUNDLE-tagged section, which count for all (RFC 9143 section 7.3).
export function iceCredentials(sdp) {
  const value = (name) => new RegExp(`^a=${name}:([^\\r\\n]+)`, "m").exec(sdp)?.[1] ?? "";
  return { ufrag: value("ice-ufrag"), password: value("ice-pwd"), mid: value("mid"), media: /^m=([^\r\n]+)/m.exec(sdp)?.[0] ?? "" };
}

// fragment is the body of a PATCH that brings candidates (RFC 8840 section 9).
export function fragment(sdp, candidates, complete) {
  const { ufrag, password, mid, media } = iceCredentials(sdp);
  const lines = [`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${password}`, media, `a=mid:${mid}`];
  for (const candidate of candidates) lines.push(`a=${candidate.replace(/^a=/, "")}`);
  if (complete) lines.push("a=end-of-candidates");
  return `${lines.join("\r\n")}\r\n`;
}

// iceServers reads Link headers of the relation ice-server (RFC 9725 section 4.6).
export function iceServers(link) {
  const servers = [];
  for (const [, url, rest] of (link ?? "").matchAll(/<([^>]*)>([^<]*)/g)) {
    const parameters = Object.fromEntries([...rest.matchAll(/;\s*([\w-]+)="?([^";,]*)"?/g)].map((m) => [m[1].toLowerCase(), m[2]]));
    if (parameters.rel !== "ice-server") continue;
    const server = { urls: url };
    if (parameters.username) Object.assign(server, { username: parameters.username, credential: parameters.credential });
    servers.push(server);
  }
  return servers;
}

// startBitrate tells Chrome how fast to begin (kbit/s): left alone it begins at 300, makes the picture tiny, and
// takes a minute to dare more. Other browsers pass over the parameter.
export function startBitrate(answer, kilobits) {
  const parameter = `x-google-start-bitrate=${kilobits}`;
  return answer.split(/(?=^m=)/m).map((section) => {
    if (!section.startsWith("m=video")) return section;
    const [, type] = /^a=rtpmap:(\d+) (?!rtx\/)/m.exec(section) ?? [];
    if (!type) return section;
    const line = new RegExp(`^(a=fmtp:${type} [^\\r\\n]*)`, "m");
    if (line.test(section)) return section.replace(line, `$1;${parameter}`);
    return section.replace(new RegExp(`^(a=rtpmap:${type} [^\\r\\n]*)`, "m"), `$1\r\na=fmtp:${type} ${parameter}`);
  }).join("");
}
