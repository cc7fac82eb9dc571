// Two languages. t("key", {name}) gives the text; [data-t] and [data-t-ATTRIBUTE] elements are filled by translate().
import en from "./words-en.js";
import id from "./words-id.js";

const tables = { en, id };
const listeners = new Set();

export let language = document.documentElement.lang === "id" ? "id" : "en";

export function t(key, values = {}) {
  let text = tables[language][key] ?? en[key] ?? key;
  if (typeof text === "function") text = text(values);
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export const has = (key) => key in en;

// onLanguage calls back now and after each change of the language.
export function onLanguage(callback) {
  listeners.add(callback);
  callback();
  return () => listeners.delete(callback);
}

export function setLanguage(next) {
  language = next;
  try {
    localStorage.setItem("siaran-language", next);
  } catch {
    // It is forgotten with the page, then.
  }
  document.documentElement.lang = next;
  for (const callback of listeners) callback();
}

const attributes = ["placeholder", "aria-label", "title"];

export function translate(root = document) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const name of attributes) {
    for (const element of root.querySelectorAll(`[data-t-${name}]`)) {
      element.setAttribute(name, t(element.getAttribute(`data-t-${name}`)));
    }
  }
}
