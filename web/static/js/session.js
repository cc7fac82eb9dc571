// WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep-04) seen from the client: the two differ only in which way the media goes.
import { authorization, Problem, request } from "./api.js";
import { setICEServers } from "./ice.js";
import { fragment, iceServers } from "./sdp.js";

const trickleDelay = 40; // milliseconds; candidates that come together go in one PATCH

// open offers what pc holds to a WHIP or WHEP endpoint and applies the answer. edit changes the offer first, editAnswer what we take from the answer;
// step is told, and awaited at, "offer" (it is made), "sent", "answered" and "answer" (it is applied). On failure pc is left to the caller.
// The offer waits for no candidates. They are gathered as soon as ice, a promise of ICE servers, brings some, else with those of the answer;
// relay is the wish of the same name in ice.js, redirect the option of fetch: "manual" makes of a redirect a Problem of status 307.
export async function open(pc, endpoint, { token, edit = (sdp) => sdp, editAnswer = (sdp) => sdp, step = () => {}, signal, ice, relay = "", redirect = "follow" } = {}) {
  const offer = await pc.createOffer();
  const sdp = edit(offer.sdp);
  const session = new Session(pc, token);
  session.trickle(sdp);
  let gathering;
  const gather = (servers) => {
    gathering ??= (setICEServers(pc, servers, relay), pc.setLocalDescription({ type: "offer", sdp }));
    return gathering;
  };
  ice?.then((servers) => servers.length && pc.signalingState === "stable" && gather(servers)).catch(() => {}); // it shows again below
  await step("offer");
  const asking = request(endpoint, { method: "POST", token, signal, redirect, headers: { "Content-Type": "application/sdp" }, body: sdp });
  step("sent");
  const response = await asking;
  step("answered");
  const place = response.headers.get("Location");
  if (response.status !== 201 || !place) throw new Problem(response.status, "the server gave no session");
  // Relative to where a redirect has led, not to where the request went first.
  session.opened(new URL(place, response.url).href, response.headers.get("ETag"));
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

// onHangUp calls back when the other side has said goodbye: browsers show that on the DTLS transport and nowhere else.
export function onHangUp(pc, callback) {
  const ends = [...pc.getSenders(), ...pc.getReceivers()].map((end) => end.transport);
  for (const transport of new Set(ends.filter(Boolean))) {
    transport.addEventListener("statechange", () => ["closed", "failed"].includes(transport.state) && callback());
  }
}

export class Session {
  #pc;
  #sdp;
  #url; // none before there is an answer
  #tag;
  #token;
  #closed = false;
  #pending = [];
  #complete = false;
  #timer;
  #sending = Promise.resolve();
  #tricklable = true;

  constructor(pc, token) {
    this.#pc = pc;
    this.#token = token;
  }

  // opened tells where the session is; candidates gathered until then go there.
  opened(url, tag) {
    this.#url = url;
    this.#tag = tag;
    this.#schedule();
  }

  trickle(sdp) {
    this.#sdp = sdp;
    this.#pc.addEventListener("icecandidate", ({ candidate }) => {
      if (!candidate || candidate.candidate === "") this.#complete = true;
      else if (candidate.component !== "rtcp") this.#pending.push(candidate.candidate);
      this.#schedule();
    });
  }

  #schedule() {
    clearTimeout(this.#timer);
    if (!this.#url) return;
    this.#timer = setTimeout(() => {
      this.#sending = this.#sending.then(() => this.#patch());
    }, trickleDelay);
  }

  async #patch() {
    const candidates = this.#pending.splice(0);
    if (this.#closed || !this.#tricklable || (!candidates.length && !this.#complete)) return;
    const headers = { "Content-Type": "application/trickle-ice-sdpfrag" };
    if (this.#tag) headers["If-Match"] = this.#tag;
    try {
      await request(this.#url, { method: "PATCH", token: this.#token, headers, body: fragment(this.#sdp, candidates, this.#complete) });
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
