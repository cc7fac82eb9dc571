// @ts-check
// What the studio uses of the Firebase SDK, with types: the SDK's prebuilt files have none.
import * as app from "../../vendor/firebase/firebase-app.js";
import * as auth from "../../vendor/firebase/firebase-auth.js";

export const firebase = /** @type {Firebase.SDK} */ (/** @type {unknown} */ ({ ...app, ...auth }));
