// @ts-check
// A button that opens a report of a failure, which the operator of the server can read. Hooks: #details, #report.
import { copyText, h, setText } from "./dom.js";
import { t } from "./i18n.js";

/** FailureReport makes a button and a panel; the page puts both where they belong. */
export class FailureReport {
  #read;
  #text = h("p");
  #report = h("pre", { id: "report", tabindex: "0" });
  #copy = h("button", { type: "button", class: "pill button", click: () => this.#copyIt() });
  #close = h("button", { type: "button", class: "quiet button", click: () => this.#toggle(false) });
  button = h("button", {
    id: "details", type: "button", class: "quiet button", "aria-expanded": "false",
    click: () => this.#toggle(Boolean(this.panel.hidden)),
  });
  panel = h("div", { class: "report", role: "group", hidden: true },
    this.#text, this.#report, h("div", { class: "choices" }, this.#copy, this.#close));

  /** @param {() => string | undefined} read gives the text of the report */
  constructor(read) {
    this.#read = read;
    this.panel.addEventListener("keydown", (event) => event.key === "Escape" && this.#toggle(false));
  }

  /** words writes all texts again, in the present language. */
  words() {
    setText(this.button, t("details"));
    setText(this.#text, t("details.text"));
    setText(this.#copy, t("copy"));
    setText(this.#close, t("close"));
    this.panel.setAttribute("aria-label", t("details"));
  }

  /**
   * show offers the button while there is a report. An open panel stays as it is: someone is reading it.
   * @param {boolean} wanted
   */
  show(wanted) {
    this.button.hidden = !wanted;
    if (!wanted && !this.panel.hidden && !this.#read()) this.#toggle(false);
  }

  /** @param {boolean} open */
  #toggle(open) {
    const root = /** @type {Document | ShadowRoot} */ (this.panel.getRootNode());
    const focused = this.panel.contains(root.activeElement);
    this.panel.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (open) {
      setText(this.#report, this.#read() ?? "");
      setText(this.#copy, t("copy"));
      this.#copy.focus();
    } else if (focused) {
      this.button.focus();
    }
  }

  async #copyIt() {
    setText(this.#copy, t((await copyText(this.#report.textContent ?? "")) ? "copied" : "copyFailed"));
  }
}
