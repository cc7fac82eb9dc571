// @ts-check
// What all broadcasts come to, and the servers.
import { h, setText } from "../dom.js";
import { bitrate, number, viewers } from "../format.js";
import { t } from "../i18n.js";

/** @import { WordKey } from "../i18n.js" */

/** @param {API.Health} [health] */
export const incoming = (health) => (health?.layers ?? []).reduce((sum, layer) => sum + layer.bitrate, 0);

/** @type {{ key: string, label: WordKey, read: (o: API.Overview) => string }[]} */
const figures = [
  { key: "broadcasts", label: "admin.casts", read: (o) => number(o.broadcasts.length) },
  { key: "viewers", label: "admin.viewers", read: (o) => number(add(o, (b) => b.viewers)) },
  { key: "in", label: "admin.in", read: (o) => bitrate(add(o, (b) => incoming(b.health))) },
  { key: "out", label: "admin.out", read: (o) => bitrate(add(o, (b) => b.audience?.bitrate ?? 0)) },
];

/**
 * @param {API.Overview} overview
 * @param {(b: API.AdminBroadcast) => number} read
 */
const add = (overview, read) => overview.broadcasts.reduce((sum, b) => sum + read(b), 0);

/**
 * @param {HTMLElement} list
 * @param {API.Overview} overview
 */
export function showSums(list, overview) {
  if (!list.children.length) {
    list.append(...figures.map(({ key }) => h("div", {}, h("dt"), h("dd", { "data-testid": `sum-${key}` }))));
  }
  figures.forEach(({ label, read }, i) => {
    const [name, value] = list.children[i].children;
    setText(name, t(label));
    setText(value, read(overview));
  });
}

/**
 * @param {HTMLElement} list
 * @param {API.Overview} overview
 */
export function showNodes(list, { nodes }) {
  const lines = nodes.map(({ name, here, broadcasts, viewers: n, use }) => [
    here ? t("admin.here", { name }) : name, t("admin.nodeCasts", { n: broadcasts }), viewers(n),
    use < 1 ? t("admin.use", { n: number(Math.round(100 * use)) }) : t("admin.closed"),
  ].join(" · "));
  if (lines.join("\n") === [...list.children].map((item) => item.textContent).join("\n")) return;
  list.replaceChildren(...lines.map((line, i) =>
    h("li", {}, nodes[i].url && !nodes[i].here ? h("a", { href: `${nodes[i].url}/admin` }, line) : line)));
}
