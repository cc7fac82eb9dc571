package rulestest

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/testutil"
	"siaran/listing"
	"siaran/listing/firestore"
	"siaran/listing/firestore/emulator"
)

// TestExampleIsDocumented checks that the code that is tested here is the code in the documentation.
func TestExampleIsDocumented(t *testing.T) {
	code, err := os.ReadFile("example.js")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/firestore.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "```js\n"+string(code)+"```") {
		t.Error("docs/firestore.md does not show example.js as it is")
	}
}

// TestExample follows the documented rule as an app would: it sees what a server writes, and counts what a dead server
// has left as gone.
func TestExample(t *testing.T) {
	needNode(t)
	host, project := emulator.Start(t), emulator.Project()
	l, err := firestore.Open(t.Context(), firestore.Config{Project: project, Emulator: host})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	private := siaran.VisibilityPrivate
	if _, err := l.Edit(t.Context(), "family", siaran.StreamEdit{Visibility: &private}); err != nil {
		t.Fatal(err)
	}
	app := startApp(t, host, project)
	app.wait("nothing", func(live []shown) bool { return len(live) == 0 })

	// This server is dead when its lease has run out, which is once everybody has seen what it has.
	begun := time.Now()
	if err := l.Renew(t.Context(), siaran.Node{Name: "dead", LeaseUntil: begun.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	dogs := siaran.Change{
		State: siaran.BroadcastState{
			ID:        "dogs-1",
			Stream:    "dogs",
			Status:    siaran.StatusLive,
			StartedAt: begun.Add(-time.Minute),
		},
	}
	if err := l.Apply(t.Context(), siaran.Update{Node: "dead", At: begun, Changes: []siaran.Change{dogs}}); err != nil {
		t.Fatal(err)
	}
	app.wait("what the dead server has", func(live []shown) bool { return slices.Equal(names(live), []string{"dogs"}) })

	hub := siaran.NewHub(time.Second, codec.NewFramer)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- listing.NewReporter(hub, l, siaran.Node{Name: "alive"}, nil).Run(ctx) }()
	stopServer := sync.OnceFunc(func() {
		hub.Close()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	defer stopServer()
	cats := publish(t, hub, "cats")
	publish(t, hub, "family")
	app.wait(
		"both servers' streams, the newest first",
		func(live []shown) bool { return slices.Equal(names(live), []string{"cats", "dogs"}) },
	)
	end := time.Now().Add(2 * time.Second)
	if err := l.Renew(t.Context(), siaran.Node{Name: "dead", LeaseUntil: end}); err != nil {
		t.Fatal(err)
	}
	at := app.wait(
		"the dead server's stream goes",
		func(live []shown) bool { return slices.Equal(names(live), []string{"cats"}) },
	)
	if early := time.Until(end); early > 0 {
		t.Errorf("it goes %v before its lease has run out", early)
	}
	t.Logf("the dead server's stream is gone %v after its lease has run out", at.Sub(end))

	id := siaran.NewViewerID()
	if err := cats.Broadcast().Join(siaran.Viewer{ID: id, JoinedAt: time.Now(), Path: "direct"}); err != nil {
		t.Fatal(err)
	}
	app.wait("a viewer", func(live []shown) bool { return len(live) == 1 && live[0].Viewers == 1 })
	title := "Cats"
	if _, err := l.Edit(t.Context(), "cats", siaran.StreamEdit{Title: &title}); err != nil {
		t.Fatal(err)
	}
	app.wait(
		"a title",
		func(live []shown) bool { return len(live) == 1 && live[0].Title == title && live[0].Node == "alive" },
	)
	stopServer()
	app.wait("the server has stopped", func(live []shown) bool { return len(live) == 0 })
	if all := app.all(); strings.Contains(all, "family") {
		t.Errorf("the private stream was seen: %s", all)
	}
}

func publish(t *testing.T, hub *siaran.Hub, name siaran.StreamName) *siaran.Publication {
	t.Helper()
	p, err := hub.Publish(
		name,
		"key:0",
		[]siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.Opus, ClockRate: 48000, Channels: 2}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	err = p.Writer(siaran.KindAudio, "").Write(now.UnixNano(), now.UnixMicro(), true, []byte{1, 2, 3}, now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// app runs follow.js.
type app struct {
	t *testing.T

	mu    sync.Mutex
	lines []string
}

// shown is a stream as the app shows it.
type shown struct {
	Name, Title, Node string
	Viewers           int
}

func names(live []shown) []string {
	var list []string
	for _, s := range live {
		list = append(list, s.Name)
	}
	return list
}

func startApp(t *testing.T, host, project string) *app {
	t.Helper()
	cmd := exec.Command("node", "follow.js", project)
	cmd.Env = append(os.Environ(), "FIRESTORE_EMULATOR_HOST="+host)
	cmd.Stderr = os.Stderr
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
	a := &app{t: t}
	read := make(chan struct{})
	go func() {
		defer close(read)
		a.read(out)
	}()
	t.Cleanup(func() {
		in.Close() // tells it to end
		<-read
		if err := cmd.Wait(); err != nil {
			t.Error("the app:", err)
		}
	})
	return a
}

func (a *app) read(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		a.mu.Lock()
		a.lines = append(a.lines, lines.Text())
		a.mu.Unlock()
	}
}

func (a *app) all() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.lines, "\n")
}

// wait returns when the app shows what is wanted.
func (a *app) wait(what string, wanted func([]shown) bool) time.Time {
	a.t.Helper()
	for deadline := time.Now().Add(testutil.Patience); ; time.Sleep(10 * time.Millisecond) {
		all := a.all()
		newest := all[strings.LastIndexByte(all, '\n')+1:]
		var live []shown
		if newest != "" {
			if err := json.Unmarshal([]byte(newest), &live); err != nil {
				a.t.Fatalf("%v in %q", err, newest)
			}
			if wanted(live) {
				return time.Now()
			}
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("timed out waiting for: %s; the app has shown\n%s", what, all)
		}
	}
}
