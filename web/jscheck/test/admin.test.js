// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventInWords } from "../../static/js/admin/events.js";
import { lineOf } from "../../static/js/admin/plot.js";

test("a plot begins at the right, and its highest value is at the top", () => {
  assert.equal(lineOf([]), "");
  assert.equal(lineOf([0]), "120.0,31.0");
  const points = lineOf([0, 5, 10]).split(" ");
  assert.deepEqual(points.map((point) => point.split(",")[1]), ["31.0", "16.0", "1.0"]);
  assert.equal(lineOf([1], 10), "120.0,28.0");
  assert.equal(lineOf(Array.from({ length: 90 }, () => 1)).split(" ")[0], "0.0,1.0");
});

test("events are told in words, also ones that this page does not know", () => {
  const event = (kind, detail) => eventInWords({ id: 1, at: "", kind, stream: "cats", detail });
  assert.equal(event("ended", "vanished"), "cats ended: the broadcaster did not come back");
  assert.equal(event("ended", "crashed"), "cats ended: crashed");
  assert.equal(event("melted", "away"), "cats: melted away");
});
