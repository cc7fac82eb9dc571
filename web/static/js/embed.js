// The bare player, for an iframe on another site. Hooks: body[data-state], #player (siaran-player), #video.
import "../player.js";
import { byId } from "./dom.js";
import { arrive, follow } from "./elsewhere.js";
import { takeToken } from "./token.js";

const name = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1) ?? "");
const player = byId("player");
arrive();
follow(player, name);
player.token = takeToken(`watch-${name}`);
player.addEventListener("state", () => { document.body.dataset.state = player.state; });
player.addEventListener("info", () => { document.title = `${player.info?.title || name} · Siaran`; });
const relay = new URLSearchParams(location.search).get("relay");
if (relay !== null) player.setAttribute("relay", relay);
player.setAttribute("stream", name);
