package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const webConfig = `{"apiKey": "demo", "authDomain": "demo-siaran.firebaseapp.com", "projectId": "demo-siaran"}`

// testConfig is a complete configuration of a server on loopback.
func testConfig(dir string) Config {
	return Config{
		Listen: "127.0.0.1:0", UDP: "127.0.0.1:0", Data: dir, Node: "test",
		ListingConfig: ListingConfig{ListingPlace: ListingPlace{Listing: "sqlite"}, Presence: "documents"},
		Grace:         30 * time.Second, MaxBroadcasts: 100, PerOwner: 4, MaxLayers: 3, MaxBitrate: 100e6, MaxViewers: 1000,
		MaxPacketRate: 20_000, MaxJoins: 1000, MaxEvents: 10_000, SourceShare: 25,
		Burst: 64 << 10, SetupTimeout: 15 * time.Second, LogFormat: "text", LogLevel: slog.LevelInfo,
		AuthConfig: AuthConfig{Dev: true},  // an emulator may be in the environment
		LoadConfig: LoadConfig{MaxLoad: 0}, // the machine may be busy with other tests
	}
}

func readFile(t *testing.T, path ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
