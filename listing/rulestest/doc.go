// Package rulestest holds tests only: of firestore.rules, and of the example of docs/firestore.md, which is example.js here.
// They run in Node through the Firebase SDK that apps use, since rules do not bind the SDK of servers.
package rulestest
