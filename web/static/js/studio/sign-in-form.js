// @ts-check
// The place to sign in, and what the studio shows to somebody who has. It is built only where people can sign in.
import { byId, h } from "../dom.js";
import { translate } from "../i18n.js";

/** @import { WordKey } from "../i18n.js" */

/**
 * @typedef {(pressed: HTMLElement | null) => unknown} Way
 *
 * @typedef {object} SignInWays
 * @property {Way} signIn
 * @property {Way} create
 * @property {Way} google
 * @property {Way} forgot
 * @property {() => unknown} signOut
 */

/**
 * @param {string} id
 * @param {WordKey} words
 * @param {ElementAttributes} attributes
 */
function field(id, words, attributes) {
  const input = h("input", { id, required: true, "aria-describedby": "sign-in-say", ...attributes });
  return h("label", { class: "field" }, h("span", { "data-t": words }), input);
}

/**
 * @param {string} id
 * @param {WordKey} words
 * @param {string} look
 * @param {(button: HTMLButtonElement) => unknown} [click] without it, the button submits the form
 */
function button(id, words, look, click) {
  const element = h("button", { id, class: `button ${look}`, type: click ? "button" : "submit", "data-t": words });
  if (click) element.addEventListener("click", () => click(element));
  return element;
}

/** @param {SignInWays} ways */
export function buildSignIn(ways) {
  const gate = byId("gate");
  const form = h("form", { class: "gate sign-in", id: "sign-in", hidden: true });
  const create = (/** @type {HTMLButtonElement} */ pressed) => form.reportValidity() && ways.create(pressed);
  form.append(
    byId("gate-art"),
    h("h2", { "data-t": "signIn.title" }), h("p", { class: "soft", "data-t": "signIn.text" }),
    button("sign-in-google", "signIn.google", "", ways.google),
    h("p", { class: "sign-in-or", "data-t": "signIn.or" }),
    field("email", "signIn.email", { type: "email", autocomplete: "username" }),
    field("password", "signIn.password", { type: "password", autocomplete: "current-password", minlength: 6 }),
    h("div", { id: "sign-in-say", role: "alert" }),
    h("div", { class: "sign-in-ways" },
      button("sign-in-go", "signIn.go", "primary"),
      button("sign-in-new", "signIn.new", "", create),
      button("sign-in-forgot", "signIn.forgot", "quiet", ways.forgot)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ways.signIn(event.submitter);
  });
  gate.before(form);
  gate.classList.add("other-way");
  byId("gate-title").dataset.t = "signIn.key";

  byId("forget-token").after(h("p", { class: "soft forget", id: "signed-in", hidden: true },
    h("span", { id: "signed-in-as" }), button("sign-out", "signIn.out", "quiet", ways.signOut)));
  byId("name-help").after(
    h("div", { id: "own-names", role: "group", hidden: true, "data-t-aria-label": "signIn.names" }));
  translate();
}
