// Signing in with Firebase Authentication, by e-mail or with Google. Hooks: #sign-in, #email, #password, #sign-in-go, #sign-in-new,
// #sign-in-google, #sign-in-forgot, #sign-in-say; #signed-in, #sign-out; #own-names [data-name].
import { initializeApp } from "../vendor/firebase/firebase-app.js";
import {
  browserLocalPersistence, browserPopupRedirectResolver, connectAuthEmulator, createUserWithEmailAndPassword, GoogleAuthProvider, indexedDBLocalPersistence,
  initializeAuth, onIdTokenChanged, sendPasswordResetEmail, signInWithEmailAndPassword, signInWithPopup, signOut,
} from "../vendor/firebase/firebase-auth.js";
import { requestJSON } from "./api.js";
import { byId, h, note, setText } from "./dom.js";
import { language, onLanguage, t } from "./i18n.js";

const renewBefore = 5 * 60_000; // milliseconds before a token runs out, which it does every hour
const lookEvery = 60_000;

// What the SDK's codes are called in the word lists; what is not here is shown as it is.
const faults = {
  "invalid-credential": "wrong", "wrong-password": "wrong", "user-not-found": "wrong", "invalid-login-credentials": "wrong",
  "user-disabled": "disabled", "popup-blocked": "popup", "popup-closed-by-user": "closed", "cancelled-popup-request": "closed",
  "network-request-failed": "offline", "internal-error": "offline", "timeout": "offline", "too-many-requests": "tooMany", "email-already-in-use": "inUse",
  "weak-password": "weak", "password-does-not-meet-requirements": "weak", "missing-password": "weak", "invalid-email": "noEmail", "missing-email": "noEmail",
  "operation-not-allowed": "off", "admin-restricted-operation": "off", "unauthorized-domain": "domain",
  "account-exists-with-different-credential": "otherWay", "multi-factor-auth-required": "secondFactor",
  "user-token-expired": "again", "invalid-user-token": "again",
};

export class SignIn {
  #auth;
  #hooks;
  #user = null;
  #expires = 0;
  #said; // what draws the notice: {kind, key, values}
  #names = [];

  constructor({ emulator, ...config }, hooks) {
    this.#hooks = hooks;
    this.#auth = initializeAuth(initializeApp(config), {
      persistence: [indexedDBLocalPersistence, browserLocalPersistence], popupRedirectResolver: browserPopupRedirectResolver,
    });
    if (emulator) connectAuthEmulator(this.#auth, `http://${emulator}`, { disableWarnings: true });
    this.#build();
    onLanguage(() => this.#words());
    // ready is when it is known whether somebody has signed in before.
    this.ready = new Promise((known) => {
      onIdTokenChanged(this.#auth, (user) => this.#changed(user).then(known));
    });
    setInterval(() => this.fresh(), lookEvery);
    addEventListener("online", () => this.fresh());
    document.addEventListener("visibilitychange", () => document.hidden || this.fresh()); // a lid that has been opened
  }

  get signedIn() {
    return Boolean(this.#user);
  }

  // fresh renews a token that is about to run out. While there is no network the old one has to do.
  async fresh() {
    const user = this.#user;
    if (!user || Date.now() < this.#expires - renewBefore) return;
    try {
      await user.getIdToken(true); // #changed hears of it
    } catch (error) {
      if (codeOf(error) === "user-disabled") this.#say("bad", "disabled");
    }
  }

  // show opens the place to sign in, or closes it.
  show(open) {
    byId("sign-in").hidden = !open;
  }

  async #changed(user) {
    if (!user) {
      const was = this.#user;
      this.#user = null;
      this.#draw();
      if (was) this.#hooks.left();
      return;
    }
    try {
      const { token, expirationTime } = await user.getIdTokenResult();
      if (this.#auth.currentUser !== user) return;
      const first = this.#user?.uid !== user.uid;
      this.#user = user;
      this.#expires = Date.parse(expirationTime);
      if (first) await this.#askNames(token);
      this.#say();
      this.#draw();
      this.#hooks.token(token, first, this.#names[0]);
    } catch (error) {
      this.#fail(error);
    }
  }

  // #askNames asks which streams the account owns already.
  async #askNames(token) {
    try {
      const { streams } = await requestJSON("/api/streams?status=all&owner=me", { token });
      this.#names = streams.map(({ name }) => name);
    } catch (problem) {
      this.#names = [];
      if (problem.code === "account-disabled" || problem.code === "signed-out") {
        await signOut(this.#auth);
        throw Object.assign(new Error(problem.message), { code: problem.code === "signed-out" ? "auth/user-token-expired" : "auth/user-disabled" });
      }
    }
  }

  #build() {
    const field = (id, attributes) => h("label", { class: "field" }, h("span", { "data-sign-in": id }), h("input", { id, ...attributes }));
    const button = (id, look, click) => h("button", { id, class: `button ${look}`, type: click ? "button" : "submit", "data-sign-in": id, click });
    const gate = byId("gate");
    const form = h("form", { class: "gate sign-in", id: "sign-in", hidden: true, submit: (event) => {
      event.preventDefault();
      this.#try(event.submitter, () => signInWithEmailAndPassword(this.#auth, ...this.#fields()));
    } },
    byId("gate-art"),
    h("h2", { "data-sign-in": "title" }), h("p", { class: "soft", "data-sign-in": "text" }),
    button("sign-in-google", "", (event) => this.#try(event.currentTarget, () => signInWithPopup(this.#auth, new GoogleAuthProvider()))),
    h("p", { class: "sign-in-or", "data-sign-in": "or" }),
    field("email", { type: "email", autocomplete: "username", required: true, "aria-describedby": "sign-in-say" }),
    field("password", { type: "password", autocomplete: "current-password", required: true, minlength: 6, "aria-describedby": "sign-in-say" }),
    h("div", { id: "sign-in-say", role: "alert" }),
    h("div", { class: "sign-in-ways" },
      button("sign-in-go", "primary"),
      button("sign-in-new", "", (event) => form.reportValidity() && this.#try(event.currentTarget, () => createUserWithEmailAndPassword(this.#auth, ...this.#fields()))),
      button("sign-in-forgot", "quiet", (event) => this.#try(event.currentTarget, async () => {
        await sendPasswordResetEmail(this.#auth, byId("email").value.trim());
        this.#say("info", "sent");
      }))));
    gate.before(form);
    gate.classList.add("other-way");
    gate.querySelector("h2").dataset.t = "signIn.key";

    document.querySelector(".forget").after(h("p", { class: "soft forget", id: "signed-in", hidden: true }, h("span", { "data-sign-in": "who" }),
      button("sign-out", "quiet", () => this.#hooks.busy() || signOut(this.#auth))));
    byId("name-help").after(h("div", { id: "own-names", role: "group", hidden: true }));
  }

  #fields() {
    return [byId("email").value.trim(), byId("password").value];
  }

  // #try runs one way to sign in; nothing else can be pressed meanwhile.
  async #try(pressed, way) {
    this.#say();
    const all = byId("sign-in").querySelectorAll("button");
    for (const each of all) each.disabled = true;
    pressed?.setAttribute("aria-busy", "true");
    try {
      await way();
      if (this.#auth.currentUser) byId("password").value = "";
    } catch (error) {
      this.#fail(error);
    }
    pressed?.removeAttribute("aria-busy");
    for (const each of all) each.disabled = false;
    if (!byId("sign-in").hidden) pressed?.focus();
  }

  #fail(error) {
    const code = codeOf(error);
    this.#say("bad", faults[code] ?? "failed", { detail: code || error.message });
  }

  #say(kind, key, values) {
    this.#said = kind && { kind, key, values };
    this.#draw();
  }

  #words() {
    this.#auth.languageCode = language; // of the mails and of Google's window
    for (const element of document.querySelectorAll("[data-sign-in]")) {
      const key = element.dataset.signIn;
      setText(element, t(`signIn.${key.replace(/^sign-(in-)?/, "")}`, { who: this.#user?.email || this.#user?.displayName || "?" }));
    }
    setText(byId("gate").querySelector("h2"), t("signIn.key"));
    byId("own-names").setAttribute("aria-label", t("signIn.names"));
    this.#draw();
  }

  #draw() {
    const { kind, key, values } = this.#said ?? {};
    byId("sign-in-say").replaceChildren(...(kind ? [note(kind, t(`signIn.${key}`, values))] : []));
    const user = this.#user;
    byId("signed-in").hidden = !user;
    document.querySelector(".forget:not(#signed-in)").hidden = Boolean(user);
    if (user) setText(byId("signed-in").firstChild, t("signIn.who", { who: user.email || user.displayName || "?" }));
    byId("own-names").hidden = !user || !this.#names.length;
    byId("own-names").replaceChildren(...this.#names.slice(0, 12).map((name) =>
      h("button", { class: "chip mono", type: "button", "data-name": name, click: () => this.#hooks.busy() || this.#hooks.name(name) }, name)));
  }

  // keep is told of a name that has been used, which is the account's from now on.
  keep(name) {
    if (!this.#user || this.#names.includes(name)) return;
    this.#names.unshift(name);
    this.#draw();
  }
}

const codeOf = (error) => String(error?.code ?? "").replace(/^auth\//, "");
