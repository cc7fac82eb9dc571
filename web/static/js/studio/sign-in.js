// @ts-check
// Signing in with Firebase Authentication, by e-mail or with Google. Hooks: #sign-in, #email, #password, #sign-in-go,
// #sign-in-new, #sign-in-google, #sign-in-forgot, #sign-in-say; #signed-in, #sign-out; #own-names [data-name].
import { Problem, requestJSON } from "../api.js";
import { byId, h, note, setText } from "../dom.js";
import { language, onLanguage, t } from "../i18n.js";
import { firebase } from "./firebase.js";
import { buildSignIn } from "./sign-in-form.js";

/**
 * @typedef {object} SignInHooks
 * @property {() => boolean} busy nothing must be chosen at the moment
 * @property {(name: string) => void} chosen one of the account's names is chosen
 * @property {(token: string, first: boolean, lastName?: string) => void} token somebody has signed in (first), or the
 *   token has been renewed; lastName is the stream that the account has used last
 * @property {(names: string[]) => void} owns the names that belong to the account
 * @property {() => void} left nobody is signed in any more
 *
 * @typedef {"info" | "bad"} Kind
 * @typedef {Exclude<(typeof faults)[keyof typeof faults], undefined> | "failed" | "sent"} Said
 */

const renewBefore = 5 * 60_000; // milliseconds before a token expires, which it does after an hour
const lookEvery = 60_000; // milliseconds
const namesShown = 12;

// The texts for the SDK's codes; a code without one is shown as it is.
const faults = /** @type {const} */ ({
  "invalid-credential": "wrong",
  "wrong-password": "wrong",
  "user-not-found": "wrong",
  "invalid-login-credentials": "wrong",
  "user-disabled": "disabled",
  "popup-blocked": "popup",
  "popup-closed-by-user": "closed",
  "cancelled-popup-request": "closed",
  "network-request-failed": "offline",
  "internal-error": "offline",
  "timeout": "offline",
  "too-many-requests": "tooMany",
  "email-already-in-use": "inUse",
  "weak-password": "weak",
  "password-does-not-meet-requirements": "weak",
  "missing-password": "weak",
  "invalid-email": "noEmail",
  "missing-email": "noEmail",
  "operation-not-allowed": "off",
  "admin-restricted-operation": "off",
  "unauthorized-domain": "domain",
  "account-exists-with-different-credential": "otherWay",
  "multi-factor-auth-required": "secondFactor",
  "user-token-expired": "again",
  "invalid-user-token": "again",
});

export class SignIn {
  /** @type {Firebase.Auth} */
  #auth;
  #hooks;
  /** @type {Firebase.User | null} */
  #user = null;
  #expires = 0;
  /** @type {{ kind: Kind, key: Said, detail: string } | undefined} */
  #said;
  /** @type {string[]} */
  #names = [];

  /**
   * @param {Firebase.Options & { emulator?: string }} config
   * @param {SignInHooks} hooks
   */
  constructor({ emulator, ...config }, hooks) {
    this.#hooks = hooks;
    this.#auth = firebase.initializeAuth(firebase.initializeApp(config), {
      persistence: [firebase.indexedDBLocalPersistence, firebase.browserLocalPersistence],
      popupRedirectResolver: firebase.browserPopupRedirectResolver,
    });
    if (emulator) firebase.connectAuthEmulator(this.#auth, `http://${emulator}`, { disableWarnings: true });
    const withEmail = (/** @type {typeof firebase.signInWithEmailAndPassword} */ way) => () =>
      way(this.#auth, byId("email", HTMLInputElement).value.trim(), byId("password", HTMLInputElement).value);
    const google = () => firebase.signInWithPopup(this.#auth, new firebase.GoogleAuthProvider());
    buildSignIn({
      signIn: (pressed) => this.#try(pressed, withEmail(firebase.signInWithEmailAndPassword)),
      create: (pressed) => this.#try(pressed, withEmail(firebase.createUserWithEmailAndPassword)),
      google: (pressed) => this.#try(pressed, google),
      forgot: (pressed) => this.#try(pressed, () => this.#sendReset()),
      signOut: () => this.#hooks.busy() || firebase.signOut(this.#auth),
    });
    onLanguage(() => this.#words());
    /** ready resolves when it is known whether somebody has signed in before. */
    this.ready = new Promise((/** @type {(value: void) => void} */ known) => {
      firebase.onIdTokenChanged(this.#auth, (user) => this.#changed(user).then(known));
    });
    setInterval(() => this.fresh(), lookEvery);
    addEventListener("online", () => this.fresh());
    document.addEventListener("visibilitychange", () => document.hidden || this.fresh()); // a lid was opened
  }

  /** fresh renews a token that is about to expire. While there is no network the old one has to do. */
  async fresh() {
    const user = this.#user;
    if (!user || Date.now() < this.#expires - renewBefore) return;
    try {
      await user.getIdToken(true); // #changed is called with it
    } catch (error) {
      if (codeOf(error) === "user-disabled") this.#say("bad", "disabled");
    }
  }

  /**
   * show opens the place to sign in, or closes it.
   * @param {boolean} open
   */
  show(open) {
    byId("sign-in").hidden = !open;
  }

  /**
   * keep is told of a name that was used: it is the account's from now on.
   * @param {string} name
   */
  keep(name) {
    if (!this.#user || this.#names.includes(name)) return;
    this.#setNames([name, ...this.#names]);
  }

  /**
   * drop is told of a name that is no longer the account's.
   * @param {string} name
   */
  drop(name) {
    this.#setNames(this.#names.filter((each) => each !== name));
  }

  /** @param {string[]} names */
  #setNames(names) {
    this.#names = names;
    this.#hooks.owns(names);
    this.#draw();
  }

  /** @param {Firebase.User | null} user */
  async #changed(user) {
    if (!user) {
      const was = this.#user;
      this.#user = null;
      this.#setNames([]);
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
      this.#hooks.token(token, first, this.#names[0]);
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * #askNames asks which streams the account owns already.
   * @param {string} token
   */
  async #askNames(token) {
    try {
      /** @type {API.StreamList} */
      const { streams } = await requestJSON("/api/streams?status=all&owner=me", { token });
      this.#setNames(streams.map(({ name }) => name));
    } catch (error) {
      this.#setNames([]);
      const { code, message } = Problem.from(error);
      if (code !== "account-disabled" && code !== "signed-out") return;
      await firebase.signOut(this.#auth);
      const sdkCode = code === "signed-out" ? "auth/user-token-expired" : "auth/user-disabled";
      throw Object.assign(new Error(message), { code: sdkCode });
    }
  }

  async #sendReset() {
    await firebase.sendPasswordResetEmail(this.#auth, byId("email", HTMLInputElement).value.trim());
    this.#say("info", "sent");
  }

  /**
   * #try runs one way to sign in; in the meantime nothing else can be pressed.
   * @param {HTMLElement | null} pressed
   * @param {() => Promise<unknown>} way
   */
  async #try(pressed, way) {
    this.#say();
    const all = byId("sign-in").querySelectorAll("button");
    for (const each of all) each.disabled = true;
    pressed?.setAttribute("aria-busy", "true");
    try {
      await way();
      if (this.#auth.currentUser) byId("password", HTMLInputElement).value = "";
    } catch (error) {
      this.#fail(error);
    }
    pressed?.removeAttribute("aria-busy");
    for (const each of all) each.disabled = false;
    if (!byId("sign-in").hidden) pressed?.focus();
  }

  /** @param {unknown} error */
  #fail(error) {
    const code = codeOf(error);
    this.#say("bad", isFault(code) ? faults[code] : "failed", code || Problem.from(error).message);
  }

  /**
   * @param {Kind} [kind]
   * @param {Said} [key]
   * @param {string} [detail]
   */
  #say(kind, key, detail = "") {
    this.#said = kind && key && { kind, key, detail };
    this.#draw();
  }

  #words() {
    this.#auth.languageCode = language; // of the mails and of Google's window
    this.#draw();
  }

  #draw() {
    const said = this.#said;
    const text = said && note(said.kind, t(`signIn.${said.key}`, { detail: said.detail }));
    byId("sign-in-say").replaceChildren(...(text ? [text] : []));
    const user = this.#user;
    byId("signed-in").hidden = !user;
    byId("forget-token").hidden = Boolean(user);
    if (user) setText(byId("signed-in-as"), t("signIn.who", { who: user.email || user.displayName || "?" }));
    this.#drawNames();
  }

  #drawNames() {
    const list = byId("own-names");
    list.hidden = !this.#user || !this.#names.length;
    const choose = (/** @type {string} */ name) => this.#hooks.busy() || this.#hooks.chosen(name);
    list.replaceChildren(...this.#names.slice(0, namesShown).map((name) =>
      h("button", { class: "chip mono", type: "button", "data-name": name, click: () => choose(name) }, name)));
  }
}

/** @param {unknown} error */
function codeOf(error) {
  const code = error instanceof Error && "code" in error ? error.code : "";
  return String(code ?? "").replace(/^auth\//, "");
}

/**
 * @param {string} code
 * @returns {code is keyof typeof faults}
 */
const isFault = (code) => Object.hasOwn(faults, code);
