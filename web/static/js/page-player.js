// @ts-check
// The player of a page that is about one stream, /watch/NAME or /embed/NAME.
import { SiaranPlayer } from "../player.js";
import { byId } from "./dom.js";
import { leaveDead } from "./front.js";
import { arrive, follow } from "./other-server.js";
import { takeToken } from "./token.js";

/** startPlayer prepares the page's player; it plays when its attribute stream is set to name. */
export function startPlayer() {
  const name = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1) ?? "");
  const player = byId("player", SiaranPlayer);
  arrive();
  follow(player, name);
  leaveDead(player);
  player.token = takeToken(`watch-${name}`);
  const relay = new URLSearchParams(location.search).get("relay");
  if (relay !== null) player.setAttribute("relay", relay);
  return { player, name };
}
