package emulator

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"siaran/internal/testutil"
)

// Variable is the environment variable that names an Auth emulator, for Google's libraries and for our server.
const Variable = "FIREBASE_AUTH_EMULATOR_HOST"

// startTime bounds a start, which takes ten seconds of a processor that others may want as well.
const startTime = 10 * time.Minute

// Emulator is a running emulator.
type Emulator struct {
	Host    string // host:port
	Project string

	t testing.TB
}

// Start runs an emulator until the test ends, and names it in the environment.
func Start(t testing.TB, project string) *Emulator {
	t.Helper()
	host, stop := Launch(t, project)
	t.Cleanup(stop)
	t.Setenv(Variable, host)
	return Of(t, host, project)
}

// Of is for a test that uses an emulator which Launch has started.
func Of(t testing.TB, host, project string) *Emulator {
	return &Emulator{Host: host, Project: project, t: t}
}

// Launch runs an emulator until stop is called, which waits for its end.
func Launch(t testing.TB, project string) (host string, stop func()) {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Dir(file)
	if err := testutil.NPM(dir); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.Command("node", "start.js", project)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	giveUp := time.AfterFunc(startTime, func() { cmd.Process.Kill() })
	stop = func() {
		giveUp.Stop()
		in.Close() // which ends it
		cmd.Wait()
	}
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		t.Fatalf("the Auth emulator does not start: %v\n%s", err, stderr.String())
	}
	giveUp.Stop()
	go io.Copy(io.Discard, out) // ends with the process
	return "127.0.0.1:" + strings.TrimSpace(port), stop
}

// SignUp makes an account and returns its uid and an ID token.
func (e *Emulator) SignUp(email, password string) (uid, token string) {
	e.t.Helper()
	var account struct{ LocalID, IDToken string }
	e.call("accounts:signUp?key=any", credentials(email, password), &account)
	return account.LocalID, account.IDToken
}

// SignIn returns a fresh ID token, with the claims of the account as they are now.
func (e *Emulator) SignIn(email, password string) (token string) {
	e.t.Helper()
	var account struct{ IDToken string }
	e.call("accounts:signInWithPassword?key=any", credentials(email, password), &account)
	return account.IDToken
}

// Admin gives an account the custom claim admin.
func (e *Emulator) Admin(uid string) {
	e.t.Helper()
	e.update(uid, "customAttributes", `{"admin":true}`)
}

// Disable switches an account off.
func (e *Emulator) Disable(uid string) {
	e.t.Helper()
	e.update(uid, "disableUser", true)
}

// Revoke revokes all tokens that an account has now.
func (e *Emulator) Revoke(uid string) {
	e.t.Helper()
	e.update(uid, "validSince", fmt.Sprint(time.Now().Unix()+1))
}

func credentials(email, password string) map[string]any {
	return map[string]any{"email": email, "password": password, "returnSecureToken": true}
}

func (e *Emulator) update(uid, field string, value any) {
	e.t.Helper()
	e.call("projects/"+e.Project+"/accounts:update", map[string]any{"localId": uid, field: value}, nil)
}

func (e *Emulator) call(path string, body map[string]any, into any) {
	e.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		e.t.Fatal(err)
	}
	url := "http://" + e.Host + "/identitytoolkit.googleapis.com/v1/" + path
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, "projects/") {
		req.Header.Set("Authorization", "Bearer owner") // may do everything
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		e.t.Fatalf("%s: %s, %v: %s", path, res.Status, err, answer)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(answer, into); err != nil {
		e.t.Fatal(err)
	}
}
