// Keeps the screen on, where the browser lets us.

let lock;
let wanted = false;

export async function keepAwake(want) {
  wanted = want;
  try {
    if (!want) await lock?.release();
    else if (!lock && !document.hidden) {
      lock = await navigator.wakeLock.request("screen");
      lock.addEventListener("release", () => { lock = undefined; });
    }
  } catch {
    // It goes dark, then.
  }
}

// The browser lets go of it when the page is out of sight.
document.addEventListener("visibilitychange", () => document.hidden || keepAwake(wanted));
