// Whose studio it is when people can sign in: who has signed in, with a token that is always fresh. On a server that
// offers no sign-in (no <meta name="siaran-sign-in">) nothing of this is loaded.

const meta = document.querySelector('meta[name="siaran-sign-in"]');

// account gives undefined where nobody can sign in. Otherwise it calls back token(text, first, name) when somebody has signed in and each
// time the token has been renewed, and left() when nobody is signed in any more. name is of a stream that the account has used last;
// name(chosen) is called when one is chosen, and busy() tells whether it must not be.
export async function account(hooks) {
  if (!meta) return undefined;
  const { SignIn } = await import("./sign-in.js");
  return new SignIn(JSON.parse(meta.content), hooks);
}

export const offered = Boolean(meta);
