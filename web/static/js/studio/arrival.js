// @ts-check
// How a broadcast arrives at the server, layer by layer, in figures that its broadcaster understands.
import { h } from "../dom.js";
import { bitrate, codecs, milliseconds, number, percent, size } from "../format.js";
import { t } from "../i18n.js";

const worthTelling = 0.1; // percent of the packets; or seconds

/**
 * arrivalLines has one line for each layer.
 * @param {API.LayerHealth[]} [layers]
 */
export function arrivalLines(layers = []) {
  return layers.filter(({ packets }) => packets > 0).map((layer) => {
    const picture = layer.kind === "video";
    const { lossPercent: lost, repairedPercent: repaired, queue } = layer;
    const what = [codecs(layer.codec), layer.profile, layer.level].filter(Boolean).join(" ");
    return [
      t(picture ? "arrival.picture" : "arrival.sound", { codec: what }),
      size(layer),
      layer.frameRate ? t("arrival.rate", { n: number(layer.frameRate) }) : "",
      bitrate(layer.bitrate),
      picture && layer.keyframeInterval ? t("arrival.keyframes", { n: number(layer.keyframeInterval, 1) }) : "",
      lost > worthTelling ? t("arrival.lost", { share: percent(lost / 100) }) : "",
      repaired > worthTelling ? t("arrival.repaired", { share: percent(repaired / 100) }) : "",
      queue > worthTelling ? t("arrival.queue", { time: milliseconds(queue * 1000) }) : "",
    ].filter(Boolean).join(" · ");
  });
}

/**
 * drawArrival shows the lines in a list, which is empty when nothing arrives.
 * @param {HTMLElement} list
 * @param {API.LayerHealth[]} [layers]
 */
export function drawArrival(list, layers) {
  const lines = arrivalLines(layers);
  if (lines.join("\n") !== [...list.children].map((item) => item.textContent).join("\n")) {
    list.replaceChildren(...lines.map((line) => h("li", {}, line)));
  }
}
