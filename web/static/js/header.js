// <site-header page="dashboard|studio|watch">: brand, ways, language and theme. Hooks: #language, #theme.
import { h, icon } from "./dom.js";
import { language, onLanguage, setLanguage, t, translate } from "./i18n.js";

const themes = ["auto", "light", "dark"];
const themeIcons = { auto: "auto", light: "sun", dark: "moon" };

export function mark() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 32 32");
  svg.setAttribute("aria-hidden", "true");
  const add = (tag, attributes) => {
    const element = document.createElementNS(svg.namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    svg.append(element);
  };
  for (const [x, y, turn] of [[8.6, 8.6, 45], [23.4, 8.6, -45], [8.6, 23.4, -45], [23.4, 23.4, 45]]) {
    add("ellipse", { class: "mark-petal", cx: x, cy: y, rx: 8.2, ry: 4.4, transform: `rotate(${turn} ${x} ${y})` });
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
    const page = this.getAttribute("page");
    const focused = document.activeElement?.id;
    const way = (href, name) => h("a", { href, "aria-current": page === name && "page" }, t(`nav.${name}`));
    const theme = document.documentElement.dataset.theme ?? "auto";
    const other = language === "en" ? "id" : "en";
    this.replaceChildren(
      h("a", { class: "skip", href: "#main" }, t("skip")),
      h("header", { class: "site" },
        h("a", { class: "brand", href: "/", "aria-label": "Siaran" }, mark(), h("span", {}, "Siaran")),
        h("nav", { "aria-label": t("nav") }, way("/", "dashboard"), way("/studio", "studio")),
        h("div", { class: "site-tools" },
          h("button", { class: "tool", id: "language", type: "button", lang: other, title: t("otherLanguage"), "aria-label": t("otherLanguage"), click: () => setLanguage(other) }, other.toUpperCase()),
          h("button", { class: "tool", id: "theme", type: "button", title: t(`theme.${theme}`), "aria-label": t(`theme.${theme}`), click: () => this.#turn(theme) }, icon(themeIcons[theme])),
        ),
      ),
    );
    if (focused === "language" || focused === "theme") document.getElementById(focused).focus();
  }

  #turn(theme) {
    const next = themes[(themes.indexOf(theme) + 1) % themes.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("siaran-theme", next);
    } catch {
      // It is forgotten with the page, then.
    }
    this.#draw();
  }
}
customElements.define("site-header", SiteHeader);
