// The studio. Hooks: body[data-state=idle|connecting|live|reconnecting|error]; #gate, #token, #use-token; #desk, #turn-on, #preview, #title, #name,
// [name=visibility], [name=source], #camera, #microphone, #quality, #go-live, #stop, #end-other, #share, #gauges, #health, #trouble, #steps [data-step], #meter, #obs.
import "./copy-line.js";
import "./header.js";
import { account, offered } from "./account.js";
import { Problem, requestJSON, streamURL } from "./api.js";
import { Broadcaster } from "./broadcaster.js";
import { capture, CaptureError, devices, meter, qualities, release } from "./capture.js";
import { Details } from "./details.js";
import { byId, h, note, setText } from "./dom.js";
import { retryInWords, routeInWords } from "./explain.js";
import { Feed } from "./feed.js";
import { gate } from "./gate.js";
import { gauges } from "./gauges.js";
import { has, onLanguage, t } from "./i18n.js";
import { relayWish } from "./ice.js";
import { obsPanel } from "./obs.js";
import { Steps } from "./steps.js";
import { claims, keepToken, takeToken } from "./token.js";
import { keepAwake } from "./wake.js";

let token = takeToken("studio");
let key = Boolean(token); // the token is a key, and not of somebody who has signed in
let people; // signing in, once it is loaded
const bearer = Object.assign(() => token, { fresh: () => (key ? undefined : people?.fresh()) }); // for what outlives a token
let media;
let opening = 0; // counts captures, so that an overtaken one is thrown away
let stopMeter = () => {};
let trouble; // what draws the notice, in the language of the moment
let feed;
let own; // the stream that is on the air, as the server shows it
let sure; // runs while stop waits for its second click
const steps = new Steps(byId("steps"));
const broadcaster = new Broadcaster();
const details = new Details(() => broadcaster.failure?.report);
const retry = h("p", { class: "retry numbers", "aria-live": "off" }); // a countdown is not for reading out
const relay = relayWish(new URLSearchParams(location.search).get("relay"));
const panel = gauges({ broadcaster, name, token: () => bearer, info: () => own });

const chosen = (group) => document.querySelector(`input[name="${group}"]:checked`).value;
const isOnAir = () => ["connecting", "live", "reconnecting"].includes(broadcaster.state);

function name() {
  const field = byId("name");
  return field.checkValidity() ? field.value : "";
}

// --- the token

function enter() {
  const said = token && claims(token);
  byId("gate").hidden = Boolean(said);
  byId("desk").hidden = !said;
  people?.show(!said);
  if (!said) return;
  const fixed = said.stream && said.stream !== "*";
  if (fixed) byId("name").value = said.stream;
  else if (!byId("name").value) byId("name").value = `live-${Math.random().toString(36).slice(2, 7)}`;
  byId("name").readOnly = Boolean(fixed);
  words();
  if (fixed) remember();
}

// remember fills in what the server knows of the stream already.
async function remember() {
  try {
    const stream = await requestJSON(streamURL(location.origin, name()), { token: bearer });
    byId("title").value ||= stream.title ?? "";
    const choice = document.querySelector(`input[name="visibility"][value="${stream.visibility}"]`);
    if (choice) choice.checked = true;
    showChoices();
  } catch {
    // It is new, then.
  }
}

gate((fresh) => {
  token = fresh;
  key = true;
  keepToken("studio", token);
  enter();
  byId("title").focus();
});

byId("forget").addEventListener("click", () => {
  if (isOnAir()) return;
  token = "";
  key = false;
  keepToken("studio", "");
  turnOff();
  openDoor().then(() => byId(people ? "email" : "token").focus());
});

// openDoor lets somebody in who has signed in, or asks to; with a key alone where there is no signing in.
async function openDoor() {
  try {
    people ??= await account({
      busy: isOnAir,
      name: choose,
      token: (fresh, first, used) => {
        if (key) return;
        token = fresh;
        if (!first) return;
        const asked = !byId("sign-in").hidden;
        enter();
        if (used) choose(used);
        if (asked) byId("title").focus();
      },
      left: () => {
        if (key) return;
        token = "";
        if (isOnAir()) return; // it leaves when the broadcast is over, which needs no token any more
        leave();
        byId("email").focus();
      },
    });
    await people?.ready;
  } catch {
    // It could not be loaded. Keys go on working.
  }
  if (!token) leave();
}

function leave() {
  turnOff();
  enter();
}

// choose takes one of the names that the account has used before.
function choose(used) {
  byId("name").value = used;
  byId("title").value = "";
  remember();
}

// --- camera, microphone, screen

async function turnOn(first = false) {
  const turn = ++opening;
  const source = chosen("source");
  say();
  steps.reset(isOnAir() ? "seen" : "asked");
  if (!isOnAir()) steps.begin("asked");
  try {
    const promise = capture({
      source, camera: byId("camera").value, microphone: byId("microphone").value, audio: byId("microphone").value !== "none", quality: byId("quality").value,
    });
    if (!isOnAir()) {
      steps.done("asked");
      steps.begin("allowed");
    }
    const fresh = await promise;
    if (turn !== opening) {
      release(fresh);
      return false;
    }
    if (!isOnAir()) {
      steps.done("allowed");
      steps.begin("preview");
    }
    const before = media;
    media = fresh;
    if (isOnAir()) {
      if (!(await broadcaster.replace(fresh, qualities[byId("quality").value].bitrate))) await restart();
      if (own?.viewers) steps.done("seen");
      else steps.begin("seen");
    }
    release(before);
    await preview(source);
    for (const track of fresh.getTracks()) track.addEventListener("ended", () => media === fresh && sourceEnded());
    await listDevices();
    return true;
  } catch (error) {
    if (turn !== opening) return false;
    const kind = error instanceof CaptureError ? error.kind : "failed";
    const text = () => t(`capture.${kind}`, { detail: error.message });
    if (!isOnAir()) steps.fail(text());
    say("bad", text);
    if (first) byId("turn-on").focus();
    return false;
  }
}

async function preview(source) {
  const video = byId("preview");
  video.srcObject = media;
  video.classList.toggle("mirror", source === "camera");
  byId("monitor-empty").hidden = true;
  byId("monitor-sound").hidden = source !== "sound";
  stopMeter();
  stopMeter = meter(media, (level) => {
    byId("meter").style.setProperty("--level", `${(level * 100).toFixed(1)}%`);
    byId("meter").setAttribute("aria-valuenow", Math.round(level * 100));
  });
  await video.play().catch(() => {});
  if (!isOnAir()) steps.done("preview");
}

function turnOff() {
  opening++;
  stopMeter();
  release(media);
  media = undefined;
  byId("preview").srcObject = null;
  byId("monitor-empty").hidden = false;
  byId("monitor-sound").hidden = true;
}

// sourceEnded: the screen is no longer shared, or the camera was pulled out.
function sourceEnded() {
  if (isOnAir()) stop();
  turnOff();
  showChoices();
}

async function listDevices() {
  const { cameras, microphones } = await devices();
  const fill = (select, list, extra = []) => {
    const before = select.value;
    const options = list.filter((d) => d.deviceId).map((d, i) => h("option", { value: d.deviceId }, d.label || t("source.device", { n: i + 1 })));
    select.replaceChildren(...(options.length ? options : [h("option", { value: "" }, t("source.device", { n: 1 }))]), ...extra);
    if ([...select.options].some((option) => option.value === before)) select.value = before;
  };
  fill(byId("camera"), cameras);
  fill(byId("microphone"), microphones, [h("option", { value: "none" }, t("source.noAudio"))]);
}

function showChoices() {
  const source = chosen("source");
  byId("camera-field").hidden = source !== "camera";
  byId("quality-field").hidden = source === "sound";
  setText(byId("turn-on"), t({ camera: "preview.start", screen: "preview.startScreen", sound: "preview.startSound" }[source]));
  byId("private-help").hidden = chosen("visibility") !== "private";
}

// --- on the air

async function goLive() {
  if (isOnAir()) return;
  say();
  byId("end-other").hidden = true;
  if (!name()) {
    byId("name").focus();
    say("bad", () => t("about.name.bad"));
    return;
  }
  byId("go-live").disabled = true;
  const ready = media ?? (await turnOn());
  byId("go-live").disabled = false;
  if (!ready) return;
  steps.reset("peer");
  own = undefined;
  restart();
}

// restart begins to publish; what is stored first is the title, so that the card has it from the start.
function restart() {
  broadcaster.stop();
  const store = async () => {
    await requestJSON(streamURL(location.origin, name()), { method: "PATCH", token: bearer, json: { title: byId("title").value.trim(), visibility: chosen("visibility") } });
    people?.keep(name());
    await share();
    follow(); // now that the server knows who may
  };
  broadcaster.start(media, { name: name(), token: bearer, bitrate: qualities[byId("quality").value].bitrate, store, relay });
}

async function share() {
  let link = `${location.origin}/watch/${encodeURIComponent(name())}`;
  if (chosen("visibility") === "private") {
    const key = await requestJSON(streamURL(location.origin, name(), "/keys"), { method: "POST", token: bearer, json: { scope: "watch" } });
    link += `#token=${key.token}`;
  }
  byId("share").setAttribute("value", link);
  byId("share").setAttribute("shown", link.replace(/(#token=.{6}).*/, "$1…"));
  byId("open-watch").href = link;
}

function follow() {
  feed?.close();
  feed = new Feed({ stream: name(), token: chosen("visibility") === "private" ? bearer : "" });
  const take = (stream) => {
    own = stream;
    panel.draw();
    if (stream?.viewers > 0 && broadcaster.state === "live" && steps.state("seen") !== "done") steps.done("seen");
  };
  feed.addEventListener("snapshot", ({ detail }) => take(detail.find((s) => s.name === name())));
  feed.addEventListener("stream", ({ detail }) => detail.name === name() && take(detail));
  feed.addEventListener("gone", ({ detail }) => detail === name() && take(undefined));
  feed.start();
}

function stop() {
  broadcaster.stop();
  feed?.close();
  own = undefined;
  steps.reset("peer");
  say();
  if (!token) leave(); // signed out meanwhile
}

broadcaster.addEventListener("step", ({ detail: { name: step, done } }) => {
  if (!done) {
    steps.begin(step);
    return;
  }
  steps.done(step);
  if (step === "signalling") steps.begin("answer");
  if (step === "connected") steps.begin("seen");
});

broadcaster.addEventListener("state", () => {
  show();
  const { state, failure } = broadcaster;
  if (state === "live") say();
  if (state === "live" && own?.viewers > 0) steps.done("seen");
  if (!failure) return;
  steps.fail(failure.cause ? t(`failure.${failure.cause}`) : inWords(failure));
  say(state === "error" ? "bad" : "warn", () => inWords(failure));
  if (state === "error") feed?.close();
  byId("end-other").hidden = failure.problem.status !== 409;
});

function inWords({ stage, problem, ...failure }) {
  const key = { 0: "network", 401: "denied", 403: "denied", 409: "taken", 422: "codec", 429: "busy", 503: "busy" }[problem.status];
  if (stage === "ended") return t("live.stolen");
  if (problem.code && has(`live.${problem.code}`)) return t(`live.${problem.code}`);
  if (key) return t(`live.${key}`);
  if (failure.cause) return routeInWords(failure).join(". ");
  return t("live.failed", { detail: problem.message || problem.status });
}

function say(kind, text) {
  trouble = kind && { kind, text };
  details.words();
  details.show(Boolean(kind && broadcaster.failure?.report));
  drawRetry();
  const said = kind ? text() : "";
  if (byId("trouble").dataset.said === kind + said) return; // somebody may be reading the details
  byId("trouble").dataset.said = kind + said;
  byId("trouble").replaceChildren(...(trouble ? [note(kind, said, retry, details.button, details.panel)] : []));
}

function drawRetry() {
  setText(retry, retryInWords(broadcaster.failure?.retryAt));
}
setInterval(drawRetry, 1000);

function show() {
  const { state } = broadcaster;
  document.body.dataset.state = state;
  const onAir = isOnAir();
  byId("go-live").hidden = onAir;
  byId("stop").hidden = !onAir;
  byId("on-air").hidden = state !== "live" && state !== "reconnecting";
  byId("forget").disabled = onAir;
  byId("name").disabled = onAir;
  for (const input of byId("visibility").querySelectorAll("input")) input.disabled = onAir;
  byId("air").hidden = state !== "live" && state !== "reconnecting";
  byId("air").className = `badge ${state === "live" ? "" : "hold"}`;
  setText(byId("air"), t(state === "live" ? "live" : "interrupted"));
  setText(byId("status"), onAir ? t(`studio.${state}`) : "");
  document.title = `${state === "live" ? "● " : ""}${t("studio.title")} · Siaran`;
  if (state === "live") panel.start();
  else panel.stop();
  keepAwake(onAir);
  unsure();
}

function unsure() {
  clearTimeout(sure);
  sure = undefined;
  setText(byId("stop"), t("stop"));
}

byId("stop").addEventListener("click", () => {
  // With viewers there, one slip of the finger must not end it.
  if (!sure && own?.viewers > 0 && broadcaster.state === "live") {
    setText(byId("stop"), t("stopSure"));
    sure = setTimeout(unsure, 4000);
    return;
  }
  stop();
});

byId("end-other").addEventListener("click", async () => {
  try {
    await requestJSON(streamURL(location.origin, name(), "/broadcast"), { method: "DELETE", token: bearer });
    goLive();
  } catch (problem) {
    say("bad", () => inWords({ problem }));
  }
});

let saving;
byId("title").addEventListener("input", () => {
  clearTimeout(saving);
  if (!isOnAir()) return;
  saving = setTimeout(() => requestJSON(streamURL(location.origin, name()), { method: "PATCH", token: bearer, json: { title: byId("title").value.trim() } }).catch(() => {}), 800);
});

byId("go-live").addEventListener("click", goLive);
byId("turn-on").addEventListener("click", () => turnOn(true));
byId("source").addEventListener("change", () => {
  showChoices();
  if (media) turnOn();
});
for (const id of ["camera", "microphone", "quality"]) byId(id).addEventListener("change", () => media && turnOn());
byId("visibility").addEventListener("change", showChoices);
byId("name").addEventListener("input", () => { byId("name").value = byId("name").value.toLowerCase().replace(/\s+/g, "-"); });
navigator.mediaDevices?.addEventListener?.("devicechange", () => media && listDevices());

addEventListener("beforeunload", (event) => {
  if (isOnAir()) event.preventDefault();
});
addEventListener("pagehide", () => {
  feed?.close();
  broadcaster.stop();
});
addEventListener("online", () => broadcaster.networkChanged());

function words() {
  setText(byId("name-help"), t(byId("name").readOnly ? "about.name.fixed" : "about.name.help"));
  showChoices();
  show();
  panel.draw();
  if (trouble) say(trouble.kind, trouble.text);
}

obsPanel({
  name,
  token: () => bearer,
  replaced: (fresh) => {
    if (claims(token)?.stream === "*") return false;
    token = fresh;
    keepToken("studio", token);
    return true;
  },
  explain: (problem) => inWords({ problem: problem instanceof Problem ? problem : new Problem(-1, problem.message) }),
});
onLanguage(words);
listDevices();
if (token || !offered) enter();
else openDoor();
if (!isSecureContext) say("bad", () => t("capture.insecure"));
