// The page for an address with nothing under it. Hooks: body[data-state=missing].
import "./header.js";
import { byId } from "./dom.js";
import { onLanguage, t, translate } from "./i18n.js";
import { drawKawung } from "./kawung.js";

drawKawung(byId("missing-art"), "missing");
onLanguage(() => {
  translate();
  document.title = `${t("missing.title")} · Siaran`;
});
