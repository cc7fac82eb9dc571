// <copy-line value="..." [shown="..."]> shows a value with a button that copies it.
import { copyText, h, icon } from "./dom.js";
import { onLanguage, t } from "./i18n.js";

class CopyLine extends HTMLElement {
  static observedAttributes = ["value", "shown"];
  #code = h("code", { tabindex: "0" });
  #button = h("button", { type: "button", click: () => this.#copy() });
  #say = h("span", { class: "hidden-text", role: "status" });
  #leave;

  connectedCallback() {
    this.append(this.#code, this.#button, this.#say);
    this.#leave = onLanguage(() => this.#label("copy", t("copy")));
    this.attributeChangedCallback();
  }

  disconnectedCallback() {
    this.#leave?.();
  }

  attributeChangedCallback() {
    this.#code.textContent = this.getAttribute("shown") || this.getAttribute("value") || "";
  }

  #label(name, text) {
    this.#button.replaceChildren(icon(name), text);
    this.#button.setAttribute("aria-label", [text, this.getAttribute("aria-label")].filter(Boolean).join(": "));
  }

  async #copy() {
    const done = await copyText(this.getAttribute("value") ?? "");
    this.#label(done ? "check" : "cross", t(done ? "copied" : "copyFailed"));
    this.#say.textContent = t(done ? "copied" : "copyFailed");
    setTimeout(() => {
      this.#label("copy", t("copy"));
      this.#say.textContent = "";
    }, 2500);
  }
}
customElements.define("copy-line", CopyLine);
