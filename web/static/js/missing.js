// @ts-check
// The page for an address with nothing under it. Hooks: body[data-state=missing].
import "./header.js";
import { byId } from "./dom.js";
import { onLanguage, t } from "./i18n.js";
import { drawPlaceholder } from "./placeholder-art.js";

drawPlaceholder(byId("missing-art", HTMLCanvasElement), "missing");
onLanguage(() => {
  document.title = `${t("missing.title")} · Siaran`;
});
