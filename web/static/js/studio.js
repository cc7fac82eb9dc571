// @ts-check
// The studio: it joins its parts. Hooks: body[data-state=idle|connecting|live|reconnecting|error]; #gate, #token,
// #use-token; #desk, #turn-on, #preview, #title, #name, [name=visibility], [name=source], #camera, #microphone,
// #quality, #layered, #go-live, #stop, #end-other, #share, #gauges, #health, #trouble, #steps [data-step], #meter,
// #obs, #audience, #delete, #encoder.
import "./copy-line.js";
import "./header.js";
import { byId } from "./dom.js";
import { t } from "./i18n.js";
import { relayChoice } from "./ice.js";
import { audience } from "./studio/audience.js";
import { offerToDelete } from "./studio/deleting.js";
import { Devices } from "./studio/devices.js";
import { Door } from "./studio/door.js";
import { EncoderHealth } from "./studio/encoder-health.js";
import { Gauges } from "./studio/gauges.js";
import { GoingLive } from "./studio/going-live.js";
import { StudioModel } from "./studio/model.js";
import { Monitor } from "./studio/monitor.js";
import { obsSettings } from "./studio/obs-settings.js";
import { Steps } from "./studio/steps.js";
import { showSteps } from "./studio/steps-view.js";
import { StudioView } from "./studio/view.js";

const askedTime = 4000; // milliseconds for which stop waits to be pressed again

const model = new StudioModel();
const steps = new Steps();
const door = new Door(model, () => devices.turnOff());
const query = new URLSearchParams(location.search);
const live = new GoingLive(model, steps, door.token, {
  relay: relayChoice(query.get("relay")), codec: query.get("codec") ?? "",
  stored: (name) => door.kept(name),
});
const devices = new Devices(model, steps, new Monitor(), {
  replace: (media) => live.replace(media),
  ended: () => {
    if (model.onAir) stop();
    devices.turnOff();
  },
});
/** @type {number | undefined} */
let asked;

async function goLive() {
  if (model.onAir) return;
  model.say(undefined);
  model.set({ mayEndOther: false });
  if (!model.name) {
    byId("name").focus();
    model.say({ kind: "bad", text: () => t("about.name.bad") });
    return;
  }
  model.set({ starting: true });
  const ready = model.state.media || (await devices.turnOn());
  model.set({ starting: false });
  if (ready && model.state.media) live.start(model.state.media);
}

function stop() {
  live.stop();
  door.leaveIfSignedOut();
}

/** pressStop asks once more while somebody watches: a slip of the finger must not end the broadcast. */
function pressStop() {
  clearTimeout(asked);
  if (model.state.stopAsked || !model.hasViewers || model.state.broadcast !== "live") {
    stop();
    return;
  }
  model.set({ stopAsked: true });
  asked = setTimeout(() => model.set({ stopAsked: false }), askedTime);
}

/** changeDevices is for a choice that differs from what is open. */
function changeDevices() {
  if (model.state.media) devices.turnOn();
}

new StudioView(model);
showSteps(byId("steps"), steps);
new Gauges(model, live.broadcaster, door.token);
new EncoderHealth(model, door.token);
offerToDelete(model, door.token, (name) => door.deleted(name));
audience(model, door.token);
obsSettings(model, door.token, (key) => door.replaceKey(key));

byId("go-live").addEventListener("click", goLive);
byId("stop").addEventListener("click", pressStop);
byId("end-other").addEventListener("click", async () => {
  if (await live.endOther()) goLive();
});
byId("turn-on").addEventListener("click", async () => {
  if (!(await devices.turnOn()) && !model.state.media) byId("turn-on").focus();
});
for (const id of ["source", "camera", "microphone", "quality"]) byId(id).addEventListener("change", changeDevices);
byId("layered").addEventListener("change", () => {
  if (model.onAir && model.state.media) live.broadcaster.replace(model.state.media, model.video);
});
byId("name").addEventListener("change", () => door.recognise());
byId("title").addEventListener("input", () => live.saveTitle());
navigator.mediaDevices?.addEventListener?.("devicechange", () => model.state.media && devices.list());

addEventListener("beforeunload", (event) => {
  if (model.onAir) event.preventDefault();
});
addEventListener("pagehide", () => live.leave());
addEventListener("online", () => live.broadcaster.networkChanged());

devices.list();
door.open();
if (!isSecureContext) model.say({ kind: "bad", text: () => t("capture.insecure") });
