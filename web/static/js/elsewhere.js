// A stream that another server has live is watched there: the server sends who asks for its page on, and this is what is left to the page.

const mark = "redirected"; // in an address that a server has sent us to: it is not sent on from there

// arrive takes the mark away, so that whoever loads this address later may be sent on.
export function arrive() {
  const url = new URL(location.href);
  if (!url.searchParams.has(mark)) return;
  url.searchParams.delete(mark);
  history.replaceState(history.state, "", url);
}

// follow loads the page anew, which leads to the other server, when its stream has gone live there. Once for each broadcast: servers may
// think differently of where it is.
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
      return; // without a memory it could go on for ever
    }
    location.reload();
  });
}
