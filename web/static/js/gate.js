// Where the studio asks for a token. Hooks: #gate, #token, #use-token, #token-error.
import { byId, note } from "./dom.js";
import { t } from "./i18n.js";
import { drawKawung } from "./kawung.js";
import { claims } from "./token.js";

// gate hands over each token that is fit for broadcasting, as far as it says of itself.
export function gate(open) {
  drawKawung(byId("gate-art"), "studio");
  byId("gate").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("token").value.trim();
    const token = /[#&]token=([^&\s]+)/.exec(text)?.[1] ?? text; // the whole link will do
    const wrong = fault(claims(token));
    byId("token-error").replaceChildren(...(wrong ? [note("bad", t(wrong))] : []));
    if (wrong) return;
    byId("token").value = "";
    open(token);
  });
}

function fault(said) {
  if (!said) return "token.bad";
  if (said.expires < new Date()) return "token.expired";
  return said.scopes.some((scope) => scope === "publish" || scope === "admin") ? "" : "token.scope";
}
