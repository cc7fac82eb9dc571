// @ts-check
// <copy-line value="..." [shown="..."]> shows a value, or what stands for it, with a button that copies the value.
import { copyText, h, icon } from "./dom.js";
import { onLanguage, t } from "./i18n.js";

const saidTime = 2500; // milliseconds for which the button says that the value is copied

class CopyLine extends HTMLElement {
  static observedAttributes = ["value", "shown"];
  #code = h("code", { tabindex: "0" });
  #button = h("button", { type: "button", click: () => this.#copy() });
  #say = h("span", { class: "hidden-text", role: "status" });
  /** @type {(() => void) | undefined} */
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

  /**
   * @param {import("./dom.js").IconName} name
   * @param {string} text
   */
  #label(name, text) {
    this.#button.replaceChildren(icon(name), text);
    this.#button.setAttribute("aria-label", [text, this.getAttribute("aria-label")].filter(Boolean).join(": "));
  }

  async #copy() {
    const done = await copyText(this.getAttribute("value") ?? "");
    const text = t(done ? "copied" : "copyFailed");
    this.#label(done ? "check" : "cross", text);
    this.#say.textContent = text;
    setTimeout(() => {
      this.#label("copy", t("copy"));
      this.#say.textContent = "";
    }, saidTime);
  }
}
customElements.define("copy-line", CopyLine);
