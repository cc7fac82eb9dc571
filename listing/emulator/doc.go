// Package emulator runs Google's Firestore emulator for tests. [Start] gives all tests of a
// process one emulator, which they share by using a [Project] of their own each. [New] gives a
// test an emulator of its own, which can be paused and stopped in the middle.
//
// The emulator is the program of Debian's package google-cloud-cli-firestore-emulator and needs
// Java. Where they are missing the test is skipped, or fails if the environment variable CI is set.
package emulator
