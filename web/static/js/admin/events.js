// @ts-check
// The event log: what has happened on this server of late, the newest first.
import { h } from "../dom.js";
import { language, has, t } from "../i18n.js";

/**
 * eventInWords says what has happened, in the present language.
 * @param {API.AdminEvent} event
 */
export function eventInWords({ kind, stream, detail = "" }) {
  const reason = `admin.why.${detail}`;
  const known = kind === "ended" && has(reason) ? t(reason) : detail;
  const key = `admin.event.${kind}`;
  return has(key) ? t(key, { stream, detail: known }) : `${stream}: ${kind} ${detail}`;
}

let drawn = "";

/**
 * @param {HTMLElement} list
 * @param {API.AdminEvent[]} events
 */
export function showEvents(list, events) {
  const state = `${language} ${events[0]?.id} ${events[0]?.at}`;
  if (state === drawn) return;
  drawn = state;
  list.replaceChildren(...events.map((event) => {
    const at = new Date(event.at);
    const attributes = { class: "numbers", datetime: event.at, title: at.toLocaleString() };
    const time = h("time", attributes, at.toLocaleTimeString());
    return h("li", { "data-kind": event.kind }, time, h("span", {}, eventInWords(event)));
  }));
}
