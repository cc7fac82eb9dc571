package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/cmd/siaran/internal/whip"
	"siaran/listing/emulator"
)

// The times that a reader of the listing is promised.
const (
	leaseTime    = 15 * time.Second
	listedMargin = 5 * time.Second // beyond a lease: the servers' own margin, and time to tell
)

// useFirestore makes a Firestore for servers of this test: an option of theirs, and the project.
func useFirestore(t testing.TB) (option func(node string) func(*Config), project string) {
	t.Helper()
	return useFirestoreAt(t, emulator.Start(t))
}

func useFirestoreAt(t testing.TB, host string) (option func(node string) func(*Config), project string) {
	t.Setenv("FIRESTORE_EMULATOR_HOST", host)
	project = emulator.Project()
	return func(node string) func(*Config) {
		return func(c *Config) { c.Listing, c.FirebaseProject, c.Dev, c.Node = "firestore", project, true, node }
	}, project
}

// startOnFirestore starts a server in a process of its own.
func startOnFirestore(t *testing.T, dir, project, node string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startCommand(t, exec.Command(self, "serve", "--dev", "--listing=firestore", "--firebase-project", project,
		"--listen=127.0.0.1:0", "--udp=127.0.0.1:0", "--node", node, "--data", dir))
}

// crowd are broadcasters and viewers of one server.
type crowd struct {
	broadcasters []*testBroadcaster
	viewers      []*testViewer
}

// gather has streams go live and viewers watch them, spread evenly.
func gather(t *testing.T, s *testServer, streams []siaran.StreamName, viewers int) *crowd {
	t.Helper()
	c := &crowd{viewers: make([]*testViewer, viewers)}
	for _, name := range streams {
		b := s.broadcast(t, name, s.Admin, 25)
		b.waitSent(3)
		c.broadcasters = append(c.broadcasters, b)
	}
	var dialling sync.WaitGroup
	room := make(chan struct{}, 10)
	for i := range viewers {
		room <- struct{}{}
		dialling.Go(func() {
			defer func() { <-room }()
			v, err := s.tryWatch(t, streams[i%len(streams)])
			if err != nil {
				t.Error(err)
				return
			}
			c.viewers[i] = v
		})
	}
	dialling.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return c
}

// vanish has all of them go without a word, as when there is nobody left to hear it.
func (c *crowd) vanish() {
	var leaving sync.WaitGroup
	for _, b := range c.broadcasters {
		leaving.Go(b.vanish)
	}
	for _, v := range c.viewers {
		leaving.Go(v.vanish)
	}
	leaving.Wait()
}

// kill ends a process as the kernel does when memory runs out.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // it says that it was killed
}

// listed are the streams that a server's API tells as live.
func (s *testServer) listed(t *testing.T) []string {
	t.Helper()
	var list struct{ Streams []streamJSON }
	s.decode(t, "/api/streams", &list)
	var names []string
	for _, stream := range list.Streams {
		names = append(names, stream.Name)
	}
	return slices.Sorted(slices.Values(names))
}

// watching is how many viewers a server's API tells by name, of all these streams.
func (s *testServer) watching(t *testing.T, streams []siaran.StreamName) (n int) {
	t.Helper()
	for _, name := range streams {
		n += len(s.viewers(t, name))
	}
	return n
}

// TestServerIsKilledOnFirestore: one of two servers is killed with 3 streams and 50 viewers on. When its lease has run out, and a
// little later at most, whoever reads counts them as gone, and the other server tidies up.
func TestServerIsKilledOnFirestore(t *testing.T) {
	on, project := useFirestore(t)
	other := startServer(t, on("other"))
	gather(t, other, []siaran.StreamName{"own"}, 1)
	b := startBrowser(t)
	elsewhere := b.open(other.URL + "/")

	p := startOnFirestore(t, filepath.Join(t.TempDir(), "data"), project, "victim")
	streams := []siaran.StreamName{"ada", "bela", "cem"}
	const viewers = 50
	crowd := gather(t, &p.testServer, streams, viewers)
	here := b.open(p.URL + "/")
	heard, read := other.follow(t), readDirectly(t, project)
	all := []string{"ada", "bela", "cem", "own"}
	for _, tab := range []*tab{elsewhere, here} { // both dashboards show both servers' streams
		for _, name := range all {
			tab.wait("a card of "+name, `document.querySelector('[data-stream="`+name+`"]')`)
		}
	}
	eventually(t, "all is listed", func() bool {
		return slices.Equal(other.listed(t), all) && slices.Equal(read.live(), all) &&
			other.watching(t, streams) == viewers && read.watching() == viewers+1
	})
	heard.wait("all viewers are counted", func(lives map[string]streamJSON) bool {
		return lives["ada"].Viewers+lives["bela"].Viewers+lives["cem"].Viewers == viewers
	})
	heard.forget()
	here.close()

	p.kill(t)
	killed := time.Now()
	crowd.vanish()
	gone := map[string]time.Duration{}
	note := func(what string, ok bool) {
		if _, noted := gone[what]; ok && !noted {
			gone[what] = time.Since(killed)
		}
	}
	eventuallyWithin(t, time.Minute, "nobody counts them any more", func() bool {
		note("API", slices.Equal(other.listed(t), []string{"own"}) && other.watching(t, streams) == 0)
		note("direct listener", slices.Equal(read.live(), []string{"own"}) && read.watching() == 1)
		note("documents", read.left("victim") == 0)
		return len(gone) == 3
	})
	gone["SSE"] = heard.wait("they are gone", func(lives map[string]streamJSON) bool {
		return slices.Equal(slices.Collect(maps.Keys(lives)), []string{"own"})
	}).Sub(killed)
	elsewhere.wait("no card but its own", `[...document.querySelectorAll("[data-stream]")].map((e) => e.dataset.stream).join() === "own"`)
	t.Logf("gone after the kill: %v", gone)
	for what, after := range gone {
		bound := leaseTime + listedMargin
		if what == "documents" {
			bound += leaseTime + listedMargin // servers look for what to sweep as often
		}
		if after > bound {
			t.Errorf("%s: gone %v after the kill, want %v at most", what, after, bound)
		}
	}
	if n := other.stream(t, "own").Viewers; n != 1 {
		t.Errorf("the stream of the other server has %d viewers", n)
	}
	elsewhere.checkQuiet()
}

// TestServerComesBackOnFirestore: the next server under the same name does not wait for the lease to run out.
func TestServerComesBackOnFirestore(t *testing.T) {
	_, project := useFirestore(t)
	dir := filepath.Join(t.TempDir(), "data")
	p := startOnFirestore(t, dir, project, "phoenix")
	streams := []siaran.StreamName{"ada", "bela"}
	crowd := gather(t, &p.testServer, streams, 6)
	read := readDirectly(t, project)
	eventually(t, "all is listed", func() bool { return len(read.live()) == 2 && read.watching() == 6 })
	p.kill(t)
	killed := time.Now()
	crowd.vanish()

	again := startOnFirestore(t, dir, project, "phoenix")
	eventually(t, "what was left is gone", func() bool { return len(read.live()) == 0 && read.watching() == 0 })
	after := time.Since(killed)
	t.Logf("gone %v after the kill", after)
	if after > leaseTime {
		t.Errorf("that took %v: it has waited for the lease", after)
	}
	if n := read.left("phoenix"); n != 1 {
		t.Errorf("%d documents are left, want the new lease alone", n)
	}
	again.broadcast(t, "ada", again.Admin, 25).waitSent(3)
	eventually(t, "live again", func() bool { return slices.Equal(read.live(), []string{"ada"}) })
}

// TestTwoServersOnFirestore: what one server does, the other tells.
func TestTwoServersOnFirestore(t *testing.T) {
	on, _ := useFirestore(t)
	one, two := startServer(t, on("one")), startBare(t, on("two"))
	b := one.broadcast(t, "cats", one.Admin, 25)
	b.waitSent(3)
	eventually(t, "live at the other", func() bool { return two.stream(t, "cats").Status == "live" })
	if code := two.call(t, http.MethodPatch, "/api/streams/cats", two.Admin, `{"title":"Two cats"}`); code/100 != 2 {
		t.Fatalf("the other server answers %d", code)
	}
	eventually(t, "the title is at home", func() bool { return one.stream(t, "cats").Title == "Two cats" })
	for n := range 3 {
		one.watch(t, "cats")
		eventually(t, fmt.Sprintf("%d viewers at the other", n+1), func() bool {
			return two.stream(t, "cats").Viewers == n+1 && len(two.viewers(t, "cats")) == n+1
		})
	}
	if _, err := whip.Dial(t.Context(), whip.Config{URL: two.whip("cats"), Token: two.Admin, Tracks: testTracks}); !refused(err, http.StatusConflict) {
		t.Errorf("a stream that is live elsewhere: %v", err)
	}
	b.stop()
	eventually(t, "offline at the other", func() bool { return two.stream(t, "cats").Status == "offline" })
	two.broadcast(t, "cats", two.Admin, 25).waitSent(3)
	eventually(t, "live at the first", func() bool { return one.stream(t, "cats").Status == "live" })
}
