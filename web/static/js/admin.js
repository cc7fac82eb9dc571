// @ts-check
// The control room, for those who run the server: it joins its parts. Hooks: #gate, #token, #use-token; #room, #sums
// [data-testid=sum-NAME], #casts [data-stream], #nodes, #log, #sure.
import "./copy-line.js";
import "./header.js";
import { Problem, requestJSON } from "./api.js";
import { Casts } from "./admin/casts.js";
import { showEvents } from "./admin/events.js";
import { showNodes, showSums } from "./admin/sums.js";
import { byId, note } from "./dom.js";
import { onLanguage, t } from "./i18n.js";
import { askForToken } from "./studio/token-form.js";
import { claims, keepToken, takeToken } from "./token.js";

const pollEvery = 2000; // milliseconds
const scope = "studio"; // the memory of tokens is the studio's: an admin token opens both

let token = takeToken(scope);
/** @type {API.Overview | undefined} */
let shown;
/** @type {number | undefined} */
let timer;
/** @type {(() => string) | undefined} */
let trouble;
const casts = new Casts(byId("casts"), () => token, look);

/** enter shows the room to whoever has a token of an administrator, by what it says of itself, and else the gate. */
function enter() {
  const admin = claims(token)?.scopes.includes("admin") ?? false;
  byId("gate").hidden = admin;
  byId("room").hidden = !admin;
  if (admin) look();
}

/** @param {() => string} [text] */
function say(text) {
  trouble = text;
  byId("trouble").replaceChildren(...(text ? [note("bad", text())] : []));
}

/** look asks what there is now, and again after a while. */
async function look() {
  clearTimeout(timer);
  if (document.hidden || byId("room").hidden) return;
  try {
    /** @type {API.Overview} */
    const overview = await requestJSON("/api/admin", { token });
    if (trouble) say();
    shown = overview;
    draw();
    casts.sample(overview.broadcasts);
  } catch (error) {
    const { status, message } = Problem.from(error);
    if (status === 401 || status === 403) {
      leave();
      return;
    }
    say(() => (status === 0 ? t("failure.network") : `${t("failure.server")} (${message || status})`));
  }
  clearTimeout(timer);
  timer = setTimeout(look, pollEvery);
}

/** leave is for a token that the server refuses. */
function leave() {
  token = "";
  keepToken(scope, "");
  enter();
  byId("token-error").replaceChildren(note("bad", t("admin.refused")));
  byId("token").focus();
}

function draw() {
  if (!shown) return;
  byId("quiet").hidden = shown.broadcasts.length > 0;
  showSums(byId("sums"), shown);
  showNodes(byId("nodes"), shown);
  showEvents(byId("log"), shown.events);
  byId("log-empty").hidden = shown.events.length > 0;
  casts.draw(shown.broadcasts);
}

askForToken((given) => {
  token = given;
  keepToken(scope, given);
  byId("token-error").replaceChildren();
  enter();
  if (byId("room").hidden) byId("token-error").replaceChildren(note("bad", t("admin.refused")));
});
document.addEventListener("visibilitychange", look);
onLanguage(() => {
  document.title = `${t("admin.title")} · Siaran`;
  draw();
  if (trouble) say(trouble);
});
enter();
