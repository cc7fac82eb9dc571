// ICE servers: the relays for those whose network lets no UDP through to the server. Their credentials do not last;
// they are asked for anew for each connection and kept nowhere.
import { requestJSON } from "./api.js";

const askTime = 3000; // milliseconds; nobody waits for it

// askICE gives RTCConfiguration's iceServers as GET /api/ice says; none when it says nothing. Without a token, so that other sites need no preflight.
export async function askICE(server, signal) {
  try {
    const { iceServers } = await requestJSON(new URL("/api/ice", server).href, { signal, timeout: askTime, cache: "no-store" });
    return Array.isArray(iceServers) ? iceServers : [];
  } catch {
    return []; // the answer to the offer names them as well
  }
}

// relayTransport is how the relay at a URL is reached (udp, tcp or tls); empty when it is no relay.
export function relayTransport(url) {
  if (/^turns:/i.test(url)) return "tls";
  if (!/^turn:/i.test(url)) return "";
  return /[?&]transport=tcp\b/i.test(url) ? "tcp" : "udp";
}

// relayWish reads what ?relay=... or the attribute relay asks for: "" (as it comes), "any", or the one relay over "udp", "tcp" or "tls".
export function relayWish(text) {
  if (text === null || text === undefined || text === "0") return "";
  return ["udp", "tcp", "tls"].includes(text) ? text : "any";
}

export const transportPolicy = (relay) => (relay ? "relay" : "all");

// setICEServers gives pc the servers that are wished for. What a browser cannot read must not keep it from playing.
export function setICEServers(pc, servers, relay) {
  const wanted = servers
    .map((server) => ({ ...server, urls: [server.urls ?? []].flat().filter((url) => !["udp", "tcp", "tls"].includes(relay) || relayTransport(url) === relay) }))
    .filter((server) => server.urls.length);
  if (!wanted.length) return;
  try {
    pc.setConfiguration({ ...pc.getConfiguration(), iceServers: wanted });
  } catch {
    // Then without them.
  }
}
