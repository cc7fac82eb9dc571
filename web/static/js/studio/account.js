// @ts-check
// Whether people can sign in on this server. Where they cannot (no <meta name="siaran-sign-in">), nothing of it is
// loaded.

/** @import { SignInHooks } from "./sign-in.js" */

const meta = document.querySelector('meta[name="siaran-sign-in"]');

export const signInOffered = Boolean(meta);

/**
 * openSignIn gives undefined where nobody can sign in.
 * @param {SignInHooks} hooks
 */
export async function openSignIn(hooks) {
  if (!meta) return undefined;
  const { SignIn } = await import("./sign-in.js");
  return new SignIn(JSON.parse(meta.getAttribute("content") ?? ""), hooks);
}
