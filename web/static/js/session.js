// WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep-04) seen from the client: the two differ only in which way the media goes.
import { authorization, Problem, request } from "./api.js";
import { fragment, iceServers } from "./sdp.js";

const trickleDelay = 40; // milliseconds; candidates that come together go in one PATCH

// open offers what pc holds to a WHIP or WHEP endpoint and applies the answer. edit changes the offer first, editAnswer what we take from the answer;
// step is told, and awaited at, "offer" (it is made), "sent", "answered" and "answer" (it is applied). On failure pc is left to the caller.
export async function open(pc, endpoint, { token, edit = (sdp) => sdp, editAnswer = (sdp) => sdp, step = () => {}, signal } = {}) {
  const offer = await pc.createOffer();
  const sdp = edit(offer.sdp);
  await step("offer");
  const asking = request(endpoint, { method: "POST", token, signal, headers: { "Content-Type": "application/sdp" }, body: sdp });
  step("sent");
  const response = await asking;
  step("answered");
  const place = response.headers.get("Location");
  if (response.status !== 201 || !place) throw new Problem(response.status, "the server gave no session");
  // Relative to where a redirect has led, not to where the request went first.
  const session = new Session(pc, new URL(place, response.url).href, response.headers.get("ETag"), token);
  try {
    const answer = editAnswer(await response.text());
    const servers = iceServers(response.headers.get("Link"));
    if (servers.length) pc.setConfiguration({ ...pc.getConfiguration(), iceServers: servers });
    session.trickle(sdp);
    await pc.setLocalDescription({ type: "offer", sdp }); // gathering begins here, with the servers of the answer
    await pc.setRemoteDescription({ type: "answer", sdp: answer });
  } catch (error) {
    session.close();
    throw error;
  }
  step("answer");
  return session;
}

// onHangUp calls back when the other side has said goodbye: browsers show that on the DTLS transport and nowhere else.
export function onHangUp(pc, callback) {
  const ends = [...pc.getSenders(), ...pc.getReceivers()].map((end) => end.transport);
  for (const transport of new Set(ends.filter(Boolean))) {
    transport.addEventListener("statechange", () => ["closed", "failed"].includes(transport.state) && callback());
  }
}

export class Session {
  #pc;
  #url;
  #tag;
  #token;
  #closed = false;
  #pending = [];
  #complete = false;
  #timer;
  #sending = Promise.resolve();
  #tricklable = true;

  constructor(pc, url, tag, token) {
    this.#pc = pc;
    this.#url = url;
    this.#tag = tag;
    this.#token = token;
  }

  trickle(sdp) {
    this.#pc.addEventListener("icecandidate", ({ candidate }) => {
      if (!candidate || candidate.candidate === "") this.#complete = true;
      else if (candidate.component !== "rtcp") this.#pending.push(candidate.candidate);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        this.#sending = this.#sending.then(() => this.#patch(sdp));
      }, trickleDelay);
    });
  }

  async #patch(sdp) {
    const candidates = this.#pending.splice(0);
    if (this.#closed || !this.#tricklable || (!candidates.length && !this.#complete)) return;
    const headers = { "Content-Type": "application/trickle-ice-sdpfrag" };
    if (this.#tag) headers["If-Match"] = this.#tag;
    try {
      await request(this.#url, { method: "PATCH", token: this.#token, headers, body: fragment(sdp, candidates, this.#complete) });
    } catch {
      this.#tricklable = false; // a server without trickle finds us by our checks (peer-reflexive candidates)
    }
  }

  // close ends the session on the server and then here; it may be called while the page goes away.
  close() {
    if (this.#closed) return;
    this.#stop();
    const hangUp = () => this.#pc.close();
    fetch(this.#url, { method: "DELETE", keepalive: true, headers: authorization(this.#token) }).then(hangUp, hangUp);
    setTimeout(hangUp, 1000);
  }

  // abandon hangs up without a word: a broadcaster's stream goes on with its next session.
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
