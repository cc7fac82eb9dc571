// @ts-check
// When the server of a page has died, the page goes on at the name that leads to any of the servers. The server has put
// that name into the page's head.

// All in milliseconds.
const spread = 1000; // many lose the same server at once
const answerTime = 3000; // for the front

/** waitToLeave waits a moment by chance, so that those who lose a server together come apart. */
export const waitToLeave = () => new Promise((resolve) => { setTimeout(resolve, spread * Math.random()); });

/**
 * leaveDead has the page leave when its player finds that the server answers nothing. It stays if the front answers
 * nothing either: then it is the visitor's own network that is gone.
 * @param {import("../player.js").SiaranPlayer} player
 */
export function leaveDead(player) {
  const front = /** @type {HTMLMetaElement | null} */ (document.querySelector('meta[name="siaran-front"]'))?.content;
  if (!front || new URL(front).origin === location.origin) return;
  let leaving = false;
  player.addEventListener("unanswered", async () => {
    if (leaving) return;
    leaving = true;
    await waitToLeave();
    try {
      await fetch(new URL("/healthz", front), {
        mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(answerTime),
      });
      if (player.state !== "live") location.replace(there(front, player.token));
    } catch {
      // The player tries its own server again, and says so if that is in vain.
    }
    leaving = false;
  });
}

/**
 * there is the address of this page at the front. A token goes where it never reaches a server.
 * @param {string} front
 * @param {string} token
 */
function there(front, token) {
  const url = new URL(location.pathname + location.search, front);
  if (token) url.hash = new URLSearchParams({ token }).toString();
  return url;
}
