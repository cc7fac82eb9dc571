// A token comes in the URL's fragment (#token=...), which never reaches a server, and leaves the address bar at once.

const key = (scope) => `siaran-token-${scope}`;

// takeToken returns the token for this page: from the fragment, else from this tab's memory.
export function takeToken(scope) {
  const fresh = new URLSearchParams(location.hash.slice(1)).get("token");
  if (fresh) {
    history.replaceState(history.state, "", location.pathname + location.search);
    keepToken(scope, fresh);
    return fresh;
  }
  try {
    return sessionStorage.getItem(key(scope)) ?? "";
  } catch {
    return "";
  }
}

export function keepToken(scope, token) {
  try {
    if (token) sessionStorage.setItem(key(scope), token);
    else sessionStorage.removeItem(key(scope));
  } catch {
    // It lives as long as the page, then.
  }
}

// claims reads what a token says of itself; undefined when it is none. Only the server can tell whether it is true.
export function claims(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { iss = "", sub = "", scope = "", exp } = JSON.parse(atob(part));
    if (iss.startsWith("https://securetoken.google.com/")) return { stream: "*", scopes: ["publish"] }; // of an account, which is for its own streams
    return { stream: sub, scopes: scope.split(" "), expires: exp ? new Date(exp * 1000) : undefined };
  } catch {
    return undefined;
  }
}
