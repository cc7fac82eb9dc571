import assert from "node:assert/strict";
import { test } from "node:test";
import { faultOf, tokenIn } from "../../static/js/studio/token-form.js";
import { claims } from "../../static/js/token.js";

const tokenOf = (body) => `x.${Buffer.from(JSON.stringify(body)).toString("base64url")}.y`;

test("claims of a key", () => {
  const token = tokenOf({ sub: "cats", scope: "publish watch", exp: 1_700_000_000 });
  assert.deepEqual(claims(token), { stream: "cats", scopes: ["publish", "watch"], expires: new Date(1.7e12) });
});

test("an account's token is for all streams of the account", () => {
  const token = tokenOf({ iss: "https://securetoken.google.com/project", sub: "user" });
  assert.deepEqual(claims(token), { stream: "*", scopes: ["publish"] });
});

test("what is not a token has no claims", () => {
  for (const text of ["", "a", "a.b.c", "a.bnVsbA.c"]) assert.equal(claims(text), undefined);
});

test("what is pasted may be a token or a link with one", () => {
  assert.equal(tokenIn("  abc.d.e\n"), "abc.d.e");
  assert.equal(tokenIn("https://live.example/studio#token=abc.d.e"), "abc.d.e");
});

test("faults of a token", () => {
  assert.equal(faultOf(undefined), "token.bad");
  assert.equal(faultOf({ stream: "*", scopes: ["publish"], expires: new Date(0) }), "token.expired");
  assert.equal(faultOf({ stream: "*", scopes: ["watch"] }), "token.scope");
  assert.equal(faultOf({ stream: "*", scopes: ["watch", "admin"] }), undefined);
});
