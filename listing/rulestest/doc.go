// Package rulestest has only tests: of firestore.rules, and of the example in docs/firestore.md, which is example.js
// here.
// They run in Node with the Firebase SDK for apps, because rules do not bind the SDK for servers.
package rulestest
