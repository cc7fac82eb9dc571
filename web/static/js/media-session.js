// @ts-check
// Media keys, headsets, the lock screen and the buttons of picture-in-picture (Media Session API). A page has one media
// session. The player has it that began last to be heard, or to be seen in picture-in-picture.

/** @typedef {{ play(): unknown, pause(): unknown }} Player */

const session = /** @type {MediaSession | undefined} */ (navigator.mediaSession);
/** @type {Player | undefined} */
let owner;

/**
 * @param {MediaSessionAction} action
 * @param {MediaSessionActionHandler | null} handler
 */
function handle(action, handler) {
  try {
    session?.setActionHandler(action, handler);
  } catch {
    // Not every browser knows every action.
  }
}

/**
 * claim gives the page's media session to a player.
 * @param {Player} player
 */
export function claim(player) {
  if (!session || owner === player) return;
  owner = player;
  handle("play", () => void player.play());
  handle("pause", () => void player.pause());
  handle("stop", () => void player.pause());
}

/**
 * tell says what the owner does.
 * @param {Player} player others than the owner are ignored
 * @param {MediaSessionPlaybackState} playing
 * @param {string} title
 * @param {string} artwork the URL of a picture
 */
export function tell(player, playing, title, artwork) {
  if (!session || owner !== player) return;
  session.playbackState = playing;
  if (session.metadata?.title === title || !globalThis.MediaMetadata) return;
  session.metadata = new MediaMetadata({ title, artwork: [{ src: artwork, sizes: "any", type: "image/svg+xml" }] });
}

/** @param {Player} player */
export function release(player) {
  if (!session || owner !== player) return;
  owner = undefined;
  for (const action of /** @type {const} */ (["play", "pause", "stop"])) handle(action, null);
  session.metadata = null;
  session.playbackState = "none";
}
