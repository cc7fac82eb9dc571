// Package emulator runs the Auth emulator of the Firebase CLI for tests, and makes accounts in it.
//
// The emulator is the npm package firebase-tools, which is installed beside this file when it is needed (some 20 seconds and
// 220 MB, once). Where there is no Node or no npm the test is skipped, or fails if the environment variable CI is set.
package emulator
