// Package emulator runs the Auth emulator of the Firebase CLI for tests, and makes accounts in it.
//
// The emulator is the npm package firebase-tools. It is installed next to this file when a test needs it, once, which
// takes some 20 seconds and 220 MB. Without Node or npm the test is skipped, or fails if the environment variable CI is
// set.
package emulator
