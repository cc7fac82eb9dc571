import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import en from "../../static/js/words-en.js";
import id from "../../static/js/words-id.js";

const root = new URL("../../static/", import.meta.url);
const read = (path) => readFileSync(new URL(path, root), "utf8");
const files = readdirSync(root, { recursive: true }).filter((path) => !path.startsWith("vendor"));
const scripts = files.filter((path) => path.endsWith(".js"));
const pages = [...files.filter((path) => path.endsWith(".html")), "../api.html"];

const values = { n: 2, shown: "2" };
const text = (words) => (typeof words === "function" ? words(values) : words);
const placeholders = (words) => [...text(words).matchAll(/\{\w+\}/g)].map(String).sort();

test("both languages have the same keys, in the same order", () => {
  assert.deepEqual(Object.keys(id), Object.keys(en));
});

test("both languages have the same placeholders", () => {
  for (const key of Object.keys(en)) {
    assert.equal(typeof id[key], typeof en[key], key);
    assert.deepEqual(placeholders(id[key]), placeholders(en[key]), key);
    assert.equal(text(id[key]) === "", text(en[key]) === "", key);
  }
});

test("one key a line", () => {
  for (const path of ["js/words-en.js", "js/words-id.js"]) {
    const keys = read(path).split("\n").flatMap((line) => /^ {2}"([\w.-]+)":/.exec(line)?.[1] ?? []);
    assert.deepEqual(keys, Object.keys(en), path);
  }
});

// The pages use keys in attributes; that those of scripts exist is for the type checker to say.
const inPages = pages.flatMap((path) => [...read(path).matchAll(/data-t(?:-[a-z-]+)?="([^"]+)"/g)].map((m) => m[1]));

test("each key in a page exists", () => {
  for (const key of inPages) assert.ok(Object.hasOwn(en, key), key);
});

// A key is used where it stands between quotes. One that is put together, `a.${b}.c`, is used if b can be what it
// would have to be: a word of the code, or of the API.
test("each key is used", () => {
  const code = scripts.filter((path) => !path.startsWith("js/words-")).map(read).join("\n");
  const api = readFileSync(new URL("../types/api.d.ts", import.meta.url), "utf8");
  const words = new Set([...`${code}\n${api}`.matchAll(/"([\w.-]+)"|\b([\w-]+):/g)].map((m) => m[1] ?? m[2]));
  const made = [...code.matchAll(/`([\w.-]+\.)\$\{[^}]*\}([\w.]*)`/g)].map(([, before, after]) => ({ before, after }));
  const used = new Set([...inPages, ...words]);
  const canBeMade = (key) => made.some(({ before, after }) =>
    key.startsWith(before) && key.endsWith(after) && words.has(key.slice(before.length, key.length - after.length)));
  assert.deepEqual(Object.keys(en).filter((key) => !used.has(key) && !canBeMade(key)), []);
});

test("each page has the elements that its scripts look for by id", () => {
  const made = new Set(scripts.flatMap((path) => [...read(path).matchAll(/\bid: "([\w-]+)"/g)].map((m) => m[1])));
  for (const made1 of read("js/studio/sign-in-form.js").matchAll(/(?:field|button)\("([\w-]+)"/g)) made.add(made1[1]);
  for (const page of pages) {
    const html = read(page);
    const ids = new Set([...html.matchAll(/\bid="([\w-]+)"/g)].map((m) => m[1]));
    const entry = /<script type="module" src="\/static\/([^"]+)"/.exec(html)[1];
    for (const path of reachable(entry)) {
      for (const [, wanted] of read(path).matchAll(/\bbyId\("([\w-]+)"/g)) {
        assert.ok(ids.has(wanted) || made.has(wanted), `${path} looks for #${wanted}, which ${page} has not`);
      }
    }
  }
});

// reachable lists a script and all that it imports.
function reachable(entry, found = new Set()) {
  if (found.has(entry) || entry.startsWith("vendor/")) return found;
  found.add(entry);
  for (const [, path] of read(entry).matchAll(/(?:from|import) ?\(?"(\.[^"]+)"/g)) {
    reachable(new URL(path, new URL(entry, root)).href.slice(root.href.length), found);
  }
  return found;
}

test("each script is used by a page, or is the player's", () => {
  const entries = pages.flatMap((path) => [...read(path).matchAll(/src="\/static\/([^"]+)"/g)].map((m) => m[1]));
  const used = new Set();
  for (const entry of [...entries, "player.js"]) reachable(entry, used);
  assert.deepEqual(scripts.filter((path) => !used.has(path)), []);
});

test("each script has its types checked", () => {
  for (const path of scripts) assert.match(read(path), /^\/\/ @ts-check\n/, path);
});

test("no line has more than 120 columns", () => {
  const checks = ["test", "types"].flatMap((folder) =>
    readdirSync(new URL(`../${folder}`, import.meta.url)).map((name) => `../jscheck/${folder}/${name}`));
  for (const path of [...files.filter((each) => /\.(js|css|html)$/.test(each)), ...checks]) {
    for (const [i, line] of read(path).split("\n").entries()) {
      assert.ok(line.length <= 120, `${path}:${i + 1} has ${line.length}`);
    }
  }
});
