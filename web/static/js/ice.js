// @ts-check
// ICE servers: the relays for clients whose network lets no UDP through to the server. Their credentials expire soon,
// so each connection asks for new ones and nothing is stored.
import { requestJSON } from "./api.js";

/**
 * @typedef {"udp" | "tcp" | "tls"} Transport
 * @typedef {"" | "any" | Transport} RelayChoice whether to use relays only: "" does not; a transport allows no other
 */

const askTime = 3000; // milliseconds; the offer does not wait for it

/**
 * askICE gives RTCConfiguration's iceServers as GET /api/ice has them, or none when it fails. It sends no token, so
 * that pages on other sites need no preflight request.
 * @param {string} server
 * @param {AbortSignal} [signal]
 * @returns {Promise<RTCIceServer[]>}
 */
export async function askICE(server, signal) {
  try {
    const url = new URL("/api/ice", server).href;
    /** @type {API.ICE} */
    const { iceServers } = await requestJSON(url, { signal, timeout: askTime, cache: "no-store" });
    return Array.isArray(iceServers) ? iceServers : [];
  } catch {
    return []; // the answer to the offer names them, too
  }
}

/**
 * relayTransport says how the relay at a URL is reached; empty when the URL is not a relay's.
 * @param {string} url
 * @returns {Transport | ""}
 */
export function relayTransport(url) {
  if (/^turns:/i.test(url)) return "tls";
  if (!/^turn:/i.test(url)) return "";
  return /[?&]transport=tcp\b/i.test(url) ? "tcp" : "udp";
}

/** @type {(text: string) => text is Transport} */
const isTransport = (text) => text === "udp" || text === "tcp" || text === "tls";

/**
 * relayChoice reads ?relay=... of a page's address, or the attribute relay of the player.
 * @param {string | null} [text]
 * @returns {RelayChoice}
 */
export function relayChoice(text) {
  if (text === null || text === undefined || text === "0") return "";
  return isTransport(text) ? text : "any";
}

/**
 * @param {RelayChoice} relay
 * @returns {RTCIceTransportPolicy}
 */
export const transportPolicy = (relay) => (relay ? "relay" : "all");

/**
 * setICEServers gives pc those of the servers that relay allows. A list that the browser rejects must not keep it from
 * playing.
 * @param {RTCPeerConnection} pc
 * @param {RTCIceServer[]} servers
 * @param {RelayChoice} relay
 */
export function setICEServers(pc, servers, relay) {
  const allowed = (/** @type {string} */ url) => !isTransport(relay) || relayTransport(url) === relay;
  const iceServers = servers
    .map((server) => ({ ...server, urls: [server.urls ?? []].flat().filter(allowed) }))
    .filter((server) => server.urls.length);
  if (!iceServers.length) return;
  try {
    pc.setConfiguration({ ...pc.getConfiguration(), iceServers });
  } catch {
    // It has to do without them.
  }
}
