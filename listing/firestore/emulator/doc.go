// Package emulator runs Google's Firestore emulator for tests. [Start] returns one emulator that all tests of a process
// share; each uses a [Project] of its own. [New] starts an emulator for one test, which can pause and stop it.
//
// The emulator is the program in Debian's package google-cloud-cli-firestore-emulator, and needs Java. Without them the
// test is skipped, or fails if the environment variable CI is set.
package emulator
