package harness

import (
	"os"
	"sync"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/listing/firestore/emulator"
)

const (
	FirebaseProject   = "demo-siaran"
	FirebaseWebConfig = `{"apiKey": "demo", "authDomain": "demo-siaran.firebaseapp.com", "projectId": "demo-siaran",` +
		` "storageBucket": "not used here"}`
	AccountPassword = "kopi tubruk"

	// EmulatorVariable names the emulator to servers, in this process and in others.
	EmulatorVariable = "FIRESTORE_EMULATOR_HOST"
)

var setEmulator sync.Once

// UseFirestore gives a test a database in the emulator that all tests of the process share. It returns an option for
// servers, which takes their name in the listing, and the project.
func UseFirestore(t testing.TB) (option func(node string) func(*server.Config), project string) {
	t.Helper()
	host := emulator.Start(t)
	setEmulator.Do(func() { os.Setenv(EmulatorVariable, host) }) // for good, so that tests can run in parallel
	return onFirestore()
}

// UseFirestoreAt is UseFirestore with an emulator of the test's own. Such a test cannot run in parallel with others.
func UseFirestoreAt(t testing.TB, host string) (option func(node string) func(*server.Config), project string) {
	t.Helper()
	t.Setenv(EmulatorVariable, host)
	return onFirestore()
}

func onFirestore() (option func(node string) func(*server.Config), project string) {
	project = emulator.Project()
	return func(node string) func(*server.Config) {
		return func(c *server.Config) { c.Listing, c.FirebaseProject, c.Dev, c.Node = "firestore", project, true, node }
	}, project
}
