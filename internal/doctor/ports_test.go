package doctor

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"siaran/internal/testutil"
)

var (
	nobody = running{}
	ourOwn = running{locked: true, answers: true}
)

// busy gives a port that is in use.
func busy(t *testing.T, network string) string {
	t.Helper()
	if network == "udp" {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn.LocalAddr().String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// closed gives a TCP port that nobody listens at.
func closed(t *testing.T) string {
	t.Helper()
	return testutil.FreeAddress(t) // which the system gives to nobody else
}

func TestPorts(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		p := Port{Name: "port", Network: network, Address: "127.0.0.1:0", Flag: "--listen"}
		said(t, checkPort(t.Context(), p, nobody), OK, "free")
		p.Address = busy(t, network)
		said(t, checkPort(t.Context(), p, nobody), Fail, "in use", "another program", "--listen", "ss -l"+network[:1]+"pn")
		said(t, checkPort(t.Context(), p, ourOwn), OK, "in use by the running server")
		p.Spare = true
		said(t, checkPort(t.Context(), p, nobody), Warn, "in use", "starts without it", "--listen")
		p.Address = "192.0.2.77:4711"
		said(t, checkPort(t.Context(), p, nobody), Fail, "not an address of this machine", "--listen")
	}
	free := Port{Name: "port", Network: "tcp", Address: closed(t), Flag: "--turn"}
	said(t, checkPort(t.Context(), free, ourOwn), Warn, "other settings")
}

func TestWhoIsAtThePort(t *testing.T) {
	s := fakeServer(t, false, nil)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := Port{Name: "port-http", Network: "tcp", Address: u.Host, Flag: "--listen", HTTP: true}
	r := findRunning(t.Context(), t.TempDir(), []Port{p})
	if !r.answers || r.locked || r.ours() {
		t.Fatalf("%+v", r)
	}
	said(t, checkPort(t.Context(), p, r), Fail, "another Siaran")

	other := fakeServer(t, false, map[string]http.HandlerFunc{"/healthz": status(404)})
	p.Address = other.Listener.Addr().String()
	r = findRunning(t.Context(), t.TempDir(), []Port{p})
	said(t, checkPort(t.Context(), p, r), Fail, "speaks HTTP", "404")
}

func TestDataFolder(t *testing.T) {
	dir := t.TempDir()
	one(t, checkData(dir, nobody), OK, "can be written")
	one(t, checkData(filepath.Join(dir, "a", "b"), nobody), OK, "will be created")
	one(t, checkData(dir, running{locked: true}), Warn, "does not answer")
	one(t, checkData(dir, ourOwn), OK, "the running server")
	file := filepath.Join(dir, secretFile)
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	one(t, checkData(file, nobody), Fail, "not a folder", "--data")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	list := checkData(dir, nobody)
	if len(list) != 2 {
		t.Fatal(list)
	}
	said(t, list[1], Warn, "other users", "chmod 600")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("looking has left something: %v %v", entries, err)
	}
	if runtime.GOOS == "linux" && os.Getuid() == 0 {
		one(t, checkData("/proc/self/none", nobody), Fail, "cannot be created")
	}
}
