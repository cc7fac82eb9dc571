// @ts-check
// The texts of the pages in two languages. translate() fills the elements with [data-t] and [data-t-ATTRIBUTE].
import en from "./words-en.js";
import id from "./words-id.js";

/**
 * A text, in which {name} stands for a value; or a function of its values, where the grammar needs one.
 * @typedef {string | ((values: { n: number, shown: string }) => string)} Words
 * @typedef {keyof typeof en} WordKey
 * @typedef {"en" | "id"} Language
 */

/** @type {Record<Language, Record<WordKey, Words>>} */
const tables = { en, id };
/** @type {Set<() => void>} */
const listeners = new Set();

/** @type {Language} */
export let language = document.documentElement.lang === "id" ? "id" : "en";

/**
 * t gives the text of a key in the page's language.
 * @param {WordKey} key
 * @param {Record<string, string | number | undefined>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  const words = tables[language][key] ?? en[key] ?? key;
  const text = typeof words === "function" ? words(/** @type {{ n: number, shown: string }} */ (values)) : words;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/**
 * has reports whether there is a text for a key that is put together from what the server says.
 * @param {string} key
 * @returns {key is WordKey}
 */
export const has = (key) => Object.hasOwn(en, key);

/**
 * onLanguage calls back now and after each change of the language, until the function that it returns is called.
 * @param {() => void} callback
 */
export function onLanguage(callback) {
  listeners.add(callback);
  callback();
  return () => {
    listeners.delete(callback);
  };
}

/** @param {Language} next */
export function setLanguage(next) {
  language = next;
  try {
    localStorage.setItem("siaran-language", next);
  } catch {
    // The browser allows no storage: the choice lasts as long as the page.
  }
  document.documentElement.lang = next;
  for (const callback of listeners) callback();
}

const attributes = ["placeholder", "aria-label", "title"];

export function translate() {
  /** @type {(element: Element, name: string) => string} */
  const text = (element, name) => t(/** @type {WordKey} */ (element.getAttribute(name)));
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = text(element, "data-t");
  for (const name of attributes) {
    for (const element of document.querySelectorAll(`[data-t-${name}]`)) {
      element.setAttribute(name, text(element, `data-t-${name}`));
    }
  }
}
