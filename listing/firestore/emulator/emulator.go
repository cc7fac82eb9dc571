package emulator

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// hostVariable names a running emulator, for Google's libraries and for us.
const hostVariable = "FIRESTORE_EMULATOR_HOST"

// missing says what to do when the emulator cannot be started.
const missing = "no Firestore emulator: set FIRESTORE_EMULATOR_HOST=host:port, or install Java 17 and Google's " +
	"package google-cloud-cli-firestore-emulator (.ci/test shows how)"

// given is the emulator that the environment names. It is read at the start of the process, because package firestore
// hides the variable while it connects.
var given = os.Getenv(hostVariable)

const mainClass = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"

// jars are the places where Google's packages put the emulator.
var jars = []string{
	"/usr/lib/google-cloud-sdk/platform/cloud-firestore-emulator/cloud-firestore-emulator.jar",
	"/usr/share/google-cloud-sdk/platform/cloud-firestore-emulator/cloud-firestore-emulator.jar",
	"/google-cloud-sdk/platform/cloud-firestore-emulator/cloud-firestore-emulator.jar",
}

var shared struct {
	mu      sync.Mutex
	process *process
}

// Start returns the host:port of the emulator that all tests of this process share: the one of
// FIRESTORE_EMULATOR_HOST, or one that is started for the first test and ends with the process.
func Start(t testing.TB) string {
	t.Helper()
	if given != "" {
		return given
	}
	jar := find(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.process == nil {
		p, err := start(jar, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		shared.process = p
	}
	return shared.process.host
}

// Project returns a project id that no other test uses. Google's tools recognize a "demo-" project as not real.
func Project() string { return "demo-" + strings.ToLower(rand.Text()[:16]) }

// Available returns why the emulator cannot be started here, or nil.
func Available() error {
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("%s: %w", missing, err)
	}
	if _, err := jar(); err != nil {
		return fmt.Errorf("%s: %w", missing, err)
	}
	return nil
}

func find(t testing.TB) string {
	t.Helper()
	if err := Available(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	path, _ := jar() // Available has found it
	return path
}

func jar() (string, error) {
	for _, path := range jars {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of these exist: %s", strings.Join(jars, ", "))
}

// Emulator is an emulator that one test has for itself. Its methods end the test if they fail.
type Emulator struct {
	Host string // host:port, the same after a Restart

	t    testing.TB
	jar  string
	args []string
	p    *process
}

// New starts an emulator that ends with the test. args go to its command line, such as "--rules=firestore.rules".
func New(t testing.TB, args ...string) *Emulator {
	t.Helper()
	e := &Emulator{t: t, jar: find(t), args: args}
	e.start(0)
	t.Cleanup(func() {
		if e.p != nil {
			e.p.kill()
		}
	})
	return e
}

func (e *Emulator) start(port int) {
	e.t.Helper()
	p, err := start(e.jar, port, e.args)
	if err != nil {
		e.t.Fatal(err)
	}
	e.p, e.Host = p, p.host
}

// Pause stops the emulator from answering until Resume. It receives then what was sent in between.
func (e *Emulator) Pause() { e.t.Helper(); e.signal(stopSignal) }

// Resume ends a Pause.
func (e *Emulator) Resume() { e.t.Helper(); e.signal(continueSignal) }

func (e *Emulator) signal(s os.Signal) {
	e.t.Helper()
	if err := e.p.signal(s); err != nil {
		e.t.Fatal(err)
	}
}

// Stop ends the emulator. Connections to it are refused, and its data is lost.
func (e *Emulator) Stop() {
	e.p.kill()
	e.p = nil
}

// Restart starts it again, empty, after a Stop, under the same address.
func (e *Emulator) Restart() {
	e.t.Helper()
	var port int
	if _, err := fmt.Sscanf(e.Host[strings.LastIndex(e.Host, ":")+1:], "%d", &port); err != nil {
		e.t.Fatal(err)
	}
	e.start(port)
}
