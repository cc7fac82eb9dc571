package emulator

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
)

// Variable names an Auth emulator for Google's libraries and for our server.
const Variable = "FIREBASE_AUTH_EMULATOR_HOST"

const (
	installTime = 5 * time.Minute
	startTime   = 2 * time.Minute
)

// Emulator is one that runs.
type Emulator struct {
	Host    string // host:port
	Project string

	t testing.TB
}

// Start runs an emulator until the test ends, and names it in the environment.
func Start(t testing.TB, project string) *Emulator {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Dir(file)
	if err := install(dir); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.Command("node", "start.js", project)
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
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
	late := time.AfterFunc(startTime, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		late.Stop()
		in.Close() // which ends it
		cmd.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the Auth emulator does not start: %v\n%s", err, said.String())
	}
	late.Stop()
	go io.Copy(io.Discard, out) // ends with the process
	e := &Emulator{Host: "127.0.0.1:" + strings.TrimSpace(port), Project: project, t: t}
	t.Setenv(Variable, e.Host)
	return e
}

// install brings node_modules to what package-lock.json says, unless it is that already.
func install(dir string) error {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			return errors.New("the Auth emulator needs Node and npm: 'apt-get install nodejs npm' on Debian")
		}
	}
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	installed := filepath.Join(dir, "node_modules", ".installed")
	if before, err := os.ReadFile(installed); err == nil && bytes.Equal(before, lock) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTime)
	defer cancel()
	// Without what the emulator of accounts does not need: native modules, and scripts of packages.
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--omit=peer")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci of the Auth emulator: %w\n%s", err, out)
	}
	return os.WriteFile(installed, lock, 0o644)
}

// SignUp makes an account and returns its uid and an ID token.
func (e *Emulator) SignUp(email, password string) (uid, token string) {
	e.t.Helper()
	var account struct{ LocalID, IDToken string }
	e.call("accounts:signUp?key=any", map[string]any{"email": email, "password": password, "returnSecureToken": true}, &account)
	return account.LocalID, account.IDToken
}

// SignIn returns a fresh ID token, with the claims of the account as they are now.
func (e *Emulator) SignIn(email, password string) (token string) {
	e.t.Helper()
	var account struct{ IDToken string }
	e.call("accounts:signInWithPassword?key=any", map[string]any{"email": email, "password": password, "returnSecureToken": true}, &account)
	return account.IDToken
}

// Admin gives an account the custom claim admin.
func (e *Emulator) Admin(uid string) {
	e.t.Helper()
	e.call("projects/"+e.Project+"/accounts:update", map[string]any{"localId": uid, "customAttributes": `{"admin":true}`}, nil)
}

// Disable switches an account off.
func (e *Emulator) Disable(uid string) {
	e.t.Helper()
	e.call("projects/"+e.Project+"/accounts:update", map[string]any{"localId": uid, "disableUser": true}, nil)
}

// Revoke makes all tokens void that an account has now.
func (e *Emulator) Revoke(uid string) {
	e.t.Helper()
	e.call("projects/"+e.Project+"/accounts:update", map[string]any{"localId": uid, "validSince": fmt.Sprint(time.Now().Unix() + 1)}, nil)
}

func (e *Emulator) call(path string, body map[string]any, into any) {
	e.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		e.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, "http://"+e.Host+"/identitytoolkit.googleapis.com/v1/"+path, bytes.NewReader(text))
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, "projects/") {
		req.Header.Set("Authorization", "Bearer owner") // who may do everything
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
