// @ts-check
// A token arrives in the URL's fragment (#token=...), which never reaches a server. It leaves the address bar at once.

/** @param {string} scope */
const key = (scope) => `siaran-token-${scope}`;

/**
 * takeToken returns the token for this page: from the fragment, else from this tab's memory.
 * @param {string} scope what the page needs it for
 */
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

/**
 * keepToken stores a token until the tab is closed; an empty one is forgotten.
 * @param {string} scope
 * @param {string} token
 */
export function keepToken(scope, token) {
  try {
    if (token) sessionStorage.setItem(key(scope), token);
    else sessionStorage.removeItem(key(scope));
  } catch {
    // The browser allows no storage: the token lasts as long as the page.
  }
}

/** @typedef {{ stream: string, scopes: string[], expires?: Date }} Claims stream "*" stands for all of them */

/**
 * claims reads what a token says of itself, undefined when it is not a token. Only the server knows whether it is
 * true.
 * @param {string} token
 * @returns {Claims | undefined}
 */
export function claims(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { iss = "", sub = "", scope = "", exp } = JSON.parse(atob(part));
    // An account's token is for the account's own streams.
    if (iss.startsWith("https://securetoken.google.com/")) return { stream: "*", scopes: ["publish"] };
    return { stream: sub, scopes: scope.split(" "), expires: exp ? new Date(exp * 1000) : undefined };
  } catch {
    return undefined;
  }
}
