// @ts-check
// The bare player, for an iframe on another site. Hooks: body[data-state], #player (siaran-player), #video.
import { startPlayer } from "./page-player.js";

const { player, name } = startPlayer();
player.addEventListener("state", () => {
  document.body.dataset.state = player.state;
});
player.addEventListener("info", () => {
  document.title = `${player.info?.title || name} · Siaran`;
});
player.setAttribute("stream", name);
