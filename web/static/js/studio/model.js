// @ts-check
// The state of the studio, and the rules that need nothing but it.
import { claims } from "../token.js";

/** @import { BroadcasterState } from "../broadcaster.js" */
/** @import { Claims } from "../token.js" */

/**
 * @typedef {"camera" | "screen" | "sound"} Source
 * @typedef {"480" | "720" | "1080"} Quality
 * @typedef {{ kind: "info" | "warn" | "bad", text: () => string }} Trouble text is called again in another language
 *
 * @typedef {object} StudioState
 * @property {boolean | undefined} open somebody with a token is in; undefined before that is known
 * @property {string} token
 * @property {boolean} isKey the token is a key, not that of an account that has signed in
 * @property {string} name what stands in the field: StudioModel.name is the checked one
 * @property {boolean} nameFixed the token is for this name only
 * @property {string} title
 * @property {API.Visibility} visibility
 * @property {{ maxViewers: number, embedSites: string[] }} audience who may watch, as the server has it
 * @property {string[]} ownNames names that belong to the account that has signed in
 * @property {string} storedName a name that the server is known to keep
 * @property {Source} source
 * @property {string} camera a device id, empty for the browser's choice
 * @property {string} microphone the same, or noMicrophone
 * @property {Quality} quality
 * @property {boolean} layered smaller pictures are sent too
 * @property {MediaDeviceInfo[]} cameras
 * @property {MediaDeviceInfo[]} microphones
 * @property {MediaStream | undefined} media what the devices give
 * @property {boolean} starting the devices are being turned on to go live
 * @property {BroadcasterState} broadcast
 * @property {API.Stream | undefined} stream the broadcast as the server shows it
 * @property {string} link for viewers
 * @property {Trouble | undefined} trouble
 * @property {string | undefined} report of the failure, for the operator
 * @property {number | undefined} retryAt when the next attempt is: BroadcasterFailure.retryAt
 * @property {boolean} mayEndOther the name is live with another key, and that broadcast can be ended
 * @property {boolean} stopAsked stop was pressed once and waits for the second time
 */

export const noMicrophone = "none";

/** @type {Record<Quality, { width: number, height: number, bitrate: number }>} bitrate in bits a second */
export const qualities = {
  480: { width: 854, height: 480, bitrate: 1_000_000 },
  720: { width: 1280, height: 720, bitrate: 2_500_000 },
  1080: { width: 1920, height: 1080, bitrate: 4_500_000 },
};

/** everyone is the audience of a stream that the server does not know. */
export const everyone = { maxViewers: 0, embedSites: ["*"] };

/** @returns {StudioState} */
const initial = () => ({
  open: undefined, token: "", isKey: false,
  name: "", nameFixed: false, title: "", visibility: "public", audience: everyone, ownNames: [], storedName: "",
  source: "camera", camera: "", microphone: "", quality: "720", layered: true, cameras: [], microphones: [],
  media: undefined, starting: false, broadcast: "idle", stream: undefined, link: "",
  trouble: undefined, report: undefined, retryAt: undefined, mayEndOther: false, stopAsked: false,
});

/** StudioModel dispatches "change" after each change of its state. */
export class StudioModel extends EventTarget {
  /** @type {Readonly<StudioState>} */
  state = initial();

  /** @param {Partial<StudioState>} change */
  set(change) {
    this.state = { ...this.state, ...change };
    this.dispatchEvent(new Event("change"));
  }

  /** name is the stream's, empty while the field holds none that is allowed. */
  get name() {
    return isName(this.state.name) ? this.state.name : "";
  }

  get onAir() {
    return ["connecting", "live", "reconnecting"].includes(this.state.broadcast);
  }

  /** video is what is wanted of the picture. */
  get video() {
    return { bitrate: qualities[this.state.quality].bitrate, layered: this.state.layered };
  }

  /** mayDelete reports whether the stream exists and is for the present token to delete: an account's or an admin's. */
  get mayDelete() {
    const { name, state } = this;
    if (!name || this.onAir) return false;
    return state.ownNames.includes(name) || (state.storedName === name && this.isAdmin);
  }

  /** isAdmin reports whether the present token is for everything, by what it says of itself. */
  get isAdmin() {
    return isAdmin(claims(this.state.token));
  }

  /** mayHaveEncoder reports whether the stream may be live from another program: the server knows it. */
  get mayHaveEncoder() {
    const { name, state } = this;
    if (!name || !state.open || this.onAir) return false;
    return state.nameFixed || state.storedName === name || state.ownNames.includes(name);
  }

  /** hasViewers reports whether somebody watches the broadcast at the moment. */
  get hasViewers() {
    return (this.state.stream?.viewers ?? 0) > 0;
  }

  /**
   * enter lets somebody in with the present token, if that is one, and reports whether the server may know the stream
   * already.
   * @param {Claims | undefined} said what the token says of itself
   */
  enter(said) {
    if (!said) {
      this.set({ open: false });
      return false;
    }
    const nameFixed = Boolean(said.stream) && said.stream !== "*";
    const name = nameFixed ? said.stream : this.state.name || randomName();
    this.set({ open: true, nameFixed, name });
    return nameFixed;
  }

  /**
   * listed takes the devices there are. A chosen one that has gone is replaced by the first.
   * @param {MediaDeviceInfo[]} cameras
   * @param {MediaDeviceInfo[]} microphones
   */
  listed(cameras, microphones) {
    const { camera, microphone } = this.state;
    this.set({
      cameras, microphones,
      camera: present(cameras, camera),
      microphone: microphone === noMicrophone ? microphone : present(microphones, microphone),
    });
  }

  /**
   * say keeps what is to be shown of a failure; without trouble nothing is shown.
   * @param {Trouble | undefined} trouble
   * @param {{ report?: string, retryAt?: number }} [failure]
   */
  say(trouble, failure = {}) {
    this.set({ trouble, report: failure.report, retryAt: failure.retryAt });
  }
}

/** @param {Claims} [said] */
const isAdmin = (said) => said?.stream === "*" && said.scopes.includes("admin");

/** @param {string} text */
export const isName = (text) => /^[a-z0-9][a-z0-9_-]{0,63}$/.test(text);

/**
 * tidyName turns what is typed into something that can become a name.
 * @param {string} text
 */
export const tidyName = (text) => text.toLowerCase().replace(/\s+/g, "-");

const randomName = () => `live-${Math.random().toString(36).slice(2, 7)}`;

/**
 * @param {MediaDeviceInfo[]} devices
 * @param {string} chosen
 */
function present(devices, chosen) {
  if (devices.some(({ deviceId }) => deviceId === chosen)) return chosen;
  return devices[0]?.deviceId ?? "";
}
