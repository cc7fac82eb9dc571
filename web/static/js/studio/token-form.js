// @ts-check
// Where the studio asks for a token. Hooks: #gate, #token, #use-token, #token-error.
import { byId, note } from "../dom.js";
import { t } from "../i18n.js";
import { drawPlaceholder } from "../placeholder-art.js";
import { claims } from "../token.js";

/** @import { Claims } from "../token.js" */

/**
 * askForToken hands over each token that is fit for broadcasting, by what it says of itself.
 * @param {(token: string) => void} open
 */
export function askForToken(open) {
  drawPlaceholder(byId("gate-art", HTMLCanvasElement), "studio");
  byId("gate").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = byId("token", HTMLTextAreaElement);
    const token = tokenIn(field.value);
    const wrong = faultOf(claims(token));
    byId("token-error").replaceChildren(...(wrong ? [note("bad", t(wrong))] : []));
    if (wrong) return;
    field.value = "";
    open(token);
  });
}

/**
 * tokenIn finds the token in what was pasted: the token itself, or the studio's link.
 * @param {string} pasted
 */
export function tokenIn(pasted) {
  const text = pasted.trim();
  return /[#&]token=([^&\s]+)/.exec(text)?.[1] ?? text;
}

/** @param {Claims} [said] */
export function faultOf(said) {
  if (!said) return "token.bad";
  if (said.expires && said.expires < new Date()) return "token.expired";
  return said.scopes.some((scope) => scope === "publish" || scope === "admin") ? undefined : "token.scope";
}
