// @ts-check
// The links of a stream that its broadcaster gives away.

/**
 * watchLink is where a stream is watched; with a token also a private one.
 * @param {string} origin
 * @param {string} name
 * @param {string} [token]
 */
export function watchLink(origin, name, token = "") {
  return `${origin}/watch/${encodeURIComponent(name)}${token && `#token=${token}`}`;
}

/**
 * shortened shows no more of a link's token than its beginning: somebody may be looking over a shoulder.
 * @param {string} link
 */
export const shortened = (link) => link.replace(/(#token=.{6}).*/, "$1…");
