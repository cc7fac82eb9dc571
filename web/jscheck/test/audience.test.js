// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

const { sitesOf } = await import("../../static/js/studio/audience.js");

test("sites are read as people type them", () => {
  assert.deepEqual(sitesOf(""), []);
  assert.deepEqual(sitesOf(" example.org,\n*.example.net  http://localhost:3000 "),
    ["https://example.org", "https://*.example.net", "http://localhost:3000"]);
  assert.deepEqual(sitesOf("*"), ["*"]);
});
