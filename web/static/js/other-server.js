// @ts-check
// A stream that is live on another server is watched there. The server redirects requests for its page; this is what
// the page itself has to do.

const mark = "redirected"; // in the address that a server has sent us to: it is not redirected once more

/** arrive takes the mark away, so that whoever loads this address later can be redirected. */
export function arrive() {
  const url = new URL(location.href);
  if (!url.searchParams.has(mark)) return;
  url.searchParams.delete(mark);
  history.replaceState(history.state, "", url);
}

/**
 * follow reloads the page, which leads to the other server, when its stream has gone live there. It does so once for
 * each broadcast, because servers may disagree on where a stream is.
 * @param {import("../player.js").SiaranPlayer} player
 * @param {string} name of the stream
 */
export function follow(player, name) {
  player.addEventListener("elsewhere", () => {
    const { node, startedAt } = player.info ?? {};
    if (!startedAt) return;
    const key = `siaran-elsewhere-${name}`;
    const broadcast = `${node} ${startedAt}`;
    try {
      if (sessionStorage.getItem(key) === broadcast) return;
      sessionStorage.setItem(key, broadcast);
    } catch {
      return; // without storage the page could reload for ever
    }
    location.reload();
  });
}
