// @ts-check
// Who is in the studio: somebody with a key, or somebody who has signed in.
import { requestJSON, streamURL } from "../api.js";
import { byId } from "../dom.js";
import { claims, keepToken, takeToken } from "../token.js";
import { openSignIn, signInOffered } from "./account.js";
import { everyone } from "./model.js";
import { askForToken } from "./token-form.js";

/** @import { TokenSource } from "../api.js" */
/** @import { StudioModel } from "./model.js" */
/** @import { SignIn } from "./sign-in.js" */

const scope = "studio"; // of the tab's memory of tokens

export class Door {
  /** @type {TokenSource} */
  token; // for what outlives one token
  #model;
  #close;
  /** @type {SignIn | undefined} */
  #people; // once it is loaded

  /**
   * @param {StudioModel} model
   * @param {() => void} close is called when somebody leaves: devices are turned off
   */
  constructor(model, close) {
    this.#model = model;
    this.#close = close;
    const token = takeToken(scope);
    model.set({ token, isKey: Boolean(token) });
    this.token = Object.assign(() => model.state.token, {
      fresh: () => (model.state.isKey ? undefined : this.#people?.fresh()),
    });
    askForToken((key) => {
      this.#takeKey(key);
      this.#enter();
      byId("title").focus();
    });
    byId("forget").addEventListener("click", () => this.#forget());
  }

  /** open lets in whoever has a token, or asks for one. */
  async open() {
    if (this.#model.state.token || !signInOffered) this.#enter();
    else await this.#ask();
  }

  /**
   * kept is told of a name that the server keeps for the account from now on.
   * @param {string} name
   */
  kept(name) {
    this.#people?.keep(name);
  }

  /** recognise asks whether the server knows the name that was typed. */
  async recognise() {
    const { name } = this.#model;
    if (!name || name === this.#model.state.storedName) return;
    try {
      /** @type {API.StreamDetail} */
      const { maxViewers, embedSites } = await requestJSON(streamURL(location.origin, name), { token: this.token });
      this.#model.set({ storedName: name, audience: { maxViewers, embedSites } });
    } catch {
      this.#model.set({ audience: everyone }); // it is a new one, or somebody else's
    }
  }

  /**
   * deleted is told of a name that the server keeps no longer.
   * @param {string} name
   */
  deleted(name) {
    this.#people?.drop(name);
  }

  /** leaveIfSignedOut is for the end of a broadcast, during which somebody may have signed out. */
  leaveIfSignedOut() {
    if (!this.#model.state.token) this.#leave();
  }

  /**
   * replaceKey takes a new token for the stream in place of the page's own, unless that is for all streams, and
   * reports whether it did.
   * @param {string} key
   */
  replaceKey(key) {
    const { token } = this.#model.state;
    if (claims(token)?.stream === "*") return false;
    this.#model.set({ token: key });
    keepToken(scope, key);
    return true;
  }

  /** @param {string} key */
  #takeKey(key) {
    this.#model.set({ token: key, isKey: Boolean(key) });
    keepToken(scope, key);
  }

  #enter() {
    const said = claims(this.#model.state.token);
    this.#people?.show(!said);
    if (this.#model.enter(said)) this.#remember();
  }

  #leave() {
    this.#close();
    this.#enter();
  }

  #forget() {
    if (this.#model.onAir) return;
    this.#takeKey("");
    this.#close();
    this.#ask().then(() => byId(this.#people ? "email" : "token").focus());
  }

  /** #ask lets somebody in who has signed in, or asks to; for a key alone where nobody can sign in. */
  async #ask() {
    try {
      this.#people ??= await openSignIn({
        busy: () => this.#model.onAir,
        chosen: (name) => this.#choose(name),
        token: (token, first, lastName) => this.#signedIn(token, first, lastName),
        owns: (names) => this.#model.set({ ownNames: names }),
        left: () => this.#signedOut(),
      });
      await this.#people?.ready;
    } catch {
      // Signing in could not be loaded. Keys still work.
    }
    if (!this.#model.state.token) this.#leave();
  }

  /**
   * @param {string} token
   * @param {boolean} first
   * @param {string} [lastName]
   */
  #signedIn(token, first, lastName) {
    if (this.#model.state.isKey) return;
    this.#model.set({ token });
    if (!first) return;
    const asked = !byId("sign-in").hidden;
    this.#enter();
    if (lastName) this.#choose(lastName);
    if (asked) byId("title").focus();
  }

  #signedOut() {
    if (this.#model.state.isKey) return;
    this.#model.set({ token: "" });
    if (this.#model.onAir) return; // the broadcast goes on without a token; somebody leaves when it is over
    this.#leave();
    byId("email").focus();
  }

  /**
   * #choose takes one of the names that the account has used before.
   * @param {string} name
   */
  #choose(name) {
    this.#model.set({ name, title: "" });
    this.#remember();
  }

  /** #remember fills in what the server knows of the stream already. */
  async #remember() {
    const { name } = this.#model;
    try {
      /** @type {API.StreamDetail} */
      const stream = await requestJSON(streamURL(location.origin, name), { token: this.token });
      const title = this.#model.state.title || stream.title;
      const { visibility, maxViewers, embedSites } = stream;
      this.#model.set({ title, visibility, storedName: name, audience: { maxViewers, embedSites } });
    } catch {
      this.#model.set({ audience: everyone }); // it is a new one
    }
  }
}
