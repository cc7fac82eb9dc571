// @ts-check
// Keeps the screen on, where the browser allows it (Screen Wake Lock API).

/** @type {WakeLockSentinel | undefined} */
let lock;
let wanted = false;

/** @param {boolean} want */
export async function keepAwake(want) {
  wanted = want;
  try {
    if (!want) {
      await lock?.release();
    } else if (!lock && !document.hidden) {
      lock = await navigator.wakeLock.request("screen");
      lock.addEventListener("release", () => { lock = undefined; });
    }
  } catch {
    // The browser does not allow it.
  }
}

// The browser releases the lock when the page is out of sight.
document.addEventListener("visibilitychange", () => document.hidden || keepAwake(wanted));
