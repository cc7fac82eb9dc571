// Package firestore tests servers that share a listing in Firestore, with Google's emulator.
package firestore
