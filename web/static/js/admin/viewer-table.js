// @ts-check
// The viewers of one broadcast on this server, a page at a time.
import { requestJSON } from "../api.js";
import { h, setText } from "../dom.js";
import { bitrate, milliseconds, number, percent, since, size } from "../format.js";
import { t } from "../i18n.js";
import { ask } from "./ask.js";

/** @import { WordKey } from "../i18n.js" */

const pageSize = 50;

/** @type {{ label: WordKey, read: (v: API.AdminViewer) => string }[]} */
const columns = [
  { label: "admin.since", read: (v) => since(v.joinedAt) },
  { label: "stats.path", read: (v) => t(v.path === "relayed" ? "admin.relayed" : "admin.direct") },
  { label: "stats.layer", read: (v) => [v.rid, size(v)].filter(Boolean).join(" · ") || "–" },
  { label: "stats.bitrate", read: (v) => bitrate(v.bitrate) },
  { label: "stats.loss", read: (v) => percent(v.loss) },
  { label: "stats.rtt", read: (v) => (v.roundTrip ? milliseconds(v.roundTrip * 1000) : "–") },
];

export class ViewerTable {
  element = h("div", { class: "cast-viewers", hidden: true });
  #stream;
  #token;
  #failed;
  #skip = 0;
  #total = 0;
  #open = false;
  #head = h("tr");
  #body = h("tbody");
  #region;
  #where = h("span", { class: "soft numbers", role: "status" });
  #before = h("button", { class: "button quiet", type: "button", click: () => this.#turn(-pageSize) });
  #after = h("button", { class: "button quiet", type: "button", click: () => this.#turn(pageSize) });
  /** @type {Map<string, HTMLTableRowElement>} */
  #rows = new Map();

  /**
   * @param {string} stream
   * @param {() => string} token
   * @param {(error: unknown) => void} failed
   */
  constructor(stream, token, failed) {
    this.#stream = stream;
    this.#token = token;
    this.#failed = failed;
    this.#region = h("div", { class: "table", tabindex: "0", role: "region" },
      h("table", { class: "numbers" }, h("thead", {}, this.#head), this.#body));
    this.element.append(this.#region, h("div", { class: "buttons" }, this.#before, this.#after, this.#where));
  }

  get open() {
    return this.#open;
  }

  toggle() {
    this.#open = !this.#open;
    this.element.hidden = !this.#open;
    if (this.#open) this.look();
  }

  /** @param {number} by */
  #turn(by) {
    this.#skip = Math.max(0, this.#skip + by);
    this.look();
  }

  /** look asks for the page of viewers, if it is open. */
  async look() {
    if (!this.#open) return;
    const url = `/api/admin/streams/${encodeURIComponent(this.#stream)}/viewers?skip=${this.#skip}&limit=${pageSize}`;
    try {
      /** @type {API.AdminViewers} */
      const { viewers, total } = await requestJSON(url, { token: this.#token });
      this.#total = total;
      if (this.#skip && this.#skip >= total) this.#skip = Math.floor(Math.max(0, total - 1) / pageSize) * pageSize;
      this.#draw(viewers);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** words draws what depends on the language alone. */
  words() {
    this.#region.setAttribute("aria-label", t("admin.viewersOf", { stream: this.#stream }));
    const head = [...columns.map(({ label }) => t(label)), ""];
    if (head.join() !== [...this.#head.children].map((cell) => cell.textContent).join()) {
      const hidden = h("span", { class: "hidden-text" }, t("admin.actions"));
      this.#head.replaceChildren(...columns.map(({ label }) => h("th", { scope: "col" }, t(label))),
        h("th", { scope: "col" }, hidden));
      this.#rows.clear();
    }
    setText(this.#before, t("admin.before"));
    setText(this.#after, t("admin.after"));
  }

  /** @param {API.AdminViewer[]} viewers */
  #draw(viewers) {
    this.words();
    const rows = viewers.map((viewer) => {
      const row = this.#rows.get(viewer.id) ?? this.#row(viewer.id);
      columns.forEach(({ read }, i) => setText(row.cells[i], read(viewer)));
      return row;
    });
    this.#rows = new Map(viewers.map(({ id }, i) => [id, rows[i]]));
    const same = rows.length === this.#body.rows.length && rows.every((row, i) => row === this.#body.rows[i]);
    if (!same) this.#body.replaceChildren(...rows); // otherwise a button keeps its focus
    const last = this.#skip + viewers.length;
    const [from, to] = [number(this.#skip + 1), number(last)];
    setText(this.#where, this.#total ? t("admin.where", { from, to, of: number(this.#total) }) : t("admin.nobody"));
    this.#before.hidden = this.#skip === 0;
    this.#after.hidden = last >= this.#total;
    this.#region.hidden = this.#total === 0;
  }

  /** @param {string} id */
  #row(id) {
    const button = (/** @type {WordKey} */ word, /** @type {boolean} */ ban) =>
      h("button", { class: "button quiet", type: "button", click: () => this.#send(id, ban) }, t(word));
    return h("tr", { "data-viewer": id }, ...columns.map(() => h("td")),
      h("td", {}, button("admin.kick", false), button("admin.ban", true)));
  }

  /**
   * @param {string} id
   * @param {boolean} ban
   */
  async #send(id, ban) {
    const yes = t(ban ? "admin.ban" : "admin.kick");
    const text = t(ban ? "admin.ban.text" : "admin.kick.text");
    if (!(await ask({ title: t(ban ? "admin.ban.title" : "admin.kick.title"), text, yes, grave: ban }))) return;
    const url = `/api/streams/${encodeURIComponent(this.#stream)}/viewers/${encodeURIComponent(id)}`;
    try {
      await requestJSON(`${url}${ban ? "?ban=broadcast" : ""}`, { method: "DELETE", token: this.#token });
    } catch (error) {
      this.#failed(error);
    }
    this.look();
  }
}
