// @ts-check
// <site-header page="dashboard|studio|watch|admin|api">: brand, navigation, language, theme. Hooks: #language, #theme.
import { h, icon } from "./dom.js";
import { language, onLanguage, setLanguage, t, translate } from "./i18n.js";

/** @typedef {"auto" | "light" | "dark"} Theme */

/** @type {Theme[]} */
const themes = ["auto", "light", "dark"];
const themeIcons = /** @type {const} */ ({ auto: "auto", light: "sun", dark: "moon" });

/** logo draws what is in mark.svg, in the colours of the theme. */
function logo() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 32 32");
  svg.setAttribute("aria-hidden", "true");
  const add = (/** @type {string} */ tag, /** @type {Record<string, string | number>} */ attributes) => {
    const element = document.createElementNS(svg.namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
    svg.append(element);
  };
  for (const [x, y, turn] of [[8.6, 8.6, 45], [23.4, 8.6, -45], [8.6, 23.4, -45], [23.4, 23.4, 45]]) {
    const transform = `rotate(${turn} ${x} ${y})`;
    add("ellipse", { class: "mark-petal", cx: x, cy: y, rx: 8.2, ry: 4.4, transform });
  }
  add("circle", { class: "mark-heart", cx: 16, cy: 16, r: 3.6 });
  return svg;
}

class SiteHeader extends HTMLElement {
  connectedCallback() {
    onLanguage(() => {
      this.#draw();
      translate();
    });
  }

  #draw() {
    const focused = document.activeElement?.id;
    this.replaceChildren(
      h("a", { class: "skip", href: "#main" }, t("skip")),
      h("header", { class: "site" },
        h("a", { class: "brand", href: "/", "aria-label": "Siaran" }, logo(), h("span", {}, "Siaran")),
        h("nav", { "aria-label": t("nav") }, this.#link("/", "dashboard"), this.#link("/studio", "studio"),
          this.getAttribute("page") === "admin" && this.#link("/admin", "admin")),
        h("div", { class: "site-tools" }, this.#languageButton(), this.#themeButton()),
      ),
    );
    if (focused === "language" || focused === "theme") document.getElementById(focused)?.focus();
  }

  /**
   * @param {string} href
   * @param {"dashboard" | "studio" | "admin"} name
   */
  #link(href, name) {
    return h("a", { href, "aria-current": this.getAttribute("page") === name && "page" }, t(`nav.${name}`));
  }

  #languageButton() {
    const other = language === "en" ? "id" : "en";
    const short = other.toUpperCase();
    return h("button", {
      class: "tool", id: "language", type: "button", lang: other, title: t("otherLanguage"),
      "aria-label": `${short}: ${t("otherLanguage")}`, click: () => setLanguage(other),
    }, short);
  }

  #themeButton() {
    const theme = /** @type {Theme} */ (document.documentElement.dataset.theme ?? "auto");
    const text = t(`theme.${theme}`);
    return h("button", {
      class: "tool", id: "theme", type: "button", title: text, "aria-label": text, click: () => this.#turn(theme),
    }, icon(themeIcons[theme]));
  }

  /** @param {Theme} theme the present one */
  #turn(theme) {
    const next = themes[(themes.indexOf(theme) + 1) % themes.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("siaran-theme", next);
    } catch {
      // The browser allows no storage: the choice lasts as long as the page.
    }
    this.#draw();
  }
}
customElements.define("site-header", SiteHeader);
