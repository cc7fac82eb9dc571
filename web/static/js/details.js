// A button that shows a report of what went wrong, for whoever runs the server to read, and copies it. Hooks: #details, #report.
import { copyText, h, setText } from "./dom.js";
import { t } from "./i18n.js";

// Details makes a button and a panel; whoever uses them puts both where they belong. read gives the text.
export class Details {
  #text = h("p");
  #report = h("pre", { id: "report", tabindex: "0" });
  #copy = h("button", { type: "button", class: "pill button", click: () => this.#copyIt() });
  #close = h("button", { type: "button", class: "quiet button", click: () => this.#toggle(false) });
  button = h("button", { id: "details", type: "button", class: "quiet button", "aria-expanded": "false", click: () => this.#toggle(this.panel.hidden) });
  panel = h("div", { class: "report", role: "group", hidden: true }, this.#text, this.#report, h("div", { class: "choices" }, this.#copy, this.#close));
  #read;

  constructor(read) {
    this.#read = read;
    this.panel.addEventListener("keydown", (event) => event.key === "Escape" && this.#toggle(false));
  }

  words() {
    setText(this.button, t("details"));
    setText(this.#text, t("details.text"));
    setText(this.#copy, t("copy"));
    setText(this.#close, t("close"));
    this.panel.setAttribute("aria-label", t("details"));
  }

  // show offers the button while there is something to tell. An open panel stays as it is: someone is reading.
  show(wanted) {
    this.button.hidden = !wanted;
    if (!wanted && !this.panel.hidden && !this.#read()) this.#toggle(false);
  }

  #toggle(open) {
    const focused = this.panel.contains(this.panel.getRootNode().activeElement);
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
    setText(this.#copy, t((await copyText(this.#report.textContent)) ? "copied" : "copyFailed"));
  }
}
