package firestore

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

	"siaran/listing/firestore/emulator"

	"siaran"
	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/internal/whip"
)

// The times that a reader of the listing is promised.
const (
	leaseTime    = 15 * time.Second
	listedMargin = 30 * time.Second // beyond a lease: 5 s, and what a busy machine needs
)

// startOnFirestore starts a server in a process of its own.
func startOnFirestore(t *testing.T, dir, project, node string, more ...string) *harness.Process {
	t.Helper()
	self := harness.Command(t)
	cmd := exec.Command(self, append([]string{"serve", "--dev", "--listing=firestore", "--firebase-project", project,
		"--listen=127.0.0.1:0", "--udp=127.0.0.1:0", "--node", node, "--data", dir}, more...)...)
	cmd.Env = append(os.Environ(), harness.EmulatorVariable+"="+emulator.Start(t)) // other servers hide it now and then
	return harness.StartCommand(t, cmd)
}

// crowd are broadcasters and viewers of one server.
type crowd struct {
	broadcasters []*harness.Broadcaster
	viewers      []*harness.Viewer
}

// gather has streams go live and viewers watch them, spread evenly.
func gather(t *testing.T, s *harness.Server, streams []siaran.StreamName, viewers int) *crowd {
	t.Helper()
	c := &crowd{viewers: make([]*harness.Viewer, viewers)}
	for _, name := range streams {
		c.broadcasters = append(c.broadcasters, s.Broadcast(t, name, s.Admin, 25))
		s.WaitListed(t, name)
	}
	var dialling sync.WaitGroup
	room := make(chan struct{}, 10)
	for i := range viewers {
		room <- struct{}{}
		dialling.Go(func() {
			defer func() { <-room }()
			c.viewers[i] = s.Watch(t, streams[i%len(streams)])
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
		leaving.Go(b.Vanish)
	}
	for _, v := range c.viewers {
		leaving.Go(v.Vanish)
	}
	leaving.Wait()
}

// TestServerIsKilledOnFirestore: one of two servers is killed with 3 streams and 50 viewers on. When its lease has run
// out, and a little later at most, whoever reads counts them as gone, and the other server tidies up.
func TestServerIsKilledOnFirestore(t *testing.T) {
	on, project := harness.UseFirestore(t)
	other := harness.Start(t, on("other"))
	gather(t, other, []siaran.StreamName{"own"}, 1)
	b := chromium.Start(t)
	elsewhere := b.Open(other.URL + "/")

	p := startOnFirestore(t, filepath.Join(t.TempDir(), "data"), project, "victim")
	streams := []siaran.StreamName{"ada", "bela", "cem"}
	const viewers = 50
	crowd := gather(t, &p.Server, streams, viewers)
	here := b.Open(p.URL + "/")
	heard, read := other.FollowEvents(t), readDirectly(t, project)
	all := []string{"ada", "bela", "cem", "own"}
	for _, tab := range []*chromium.Tab{elsewhere, here} { // both dashboards show both servers' streams
		for _, name := range all {
			tab.Wait("a card of "+name, `document.querySelector('[data-stream="`+name+`"]')`)
		}
	}
	harness.Eventually(t, "all is listed", func() bool {
		return slices.Equal(other.Listed(t), all) && slices.Equal(read.live(), all) &&
			other.Watching(t, streams) == viewers && read.watching() == viewers+1
	})
	heard.Wait("all viewers are counted", func(lives map[string]harness.Stream) bool {
		return lives["ada"].Viewers+lives["bela"].Viewers+lives["cem"].Viewers == viewers
	})
	heard.Forget()
	here.Close()

	p.Kill(t)
	killed := time.Now()
	var leaving sync.WaitGroup // which takes long for so many on a busy machine
	defer leaving.Wait()
	leaving.Go(crowd.vanish)
	gone := map[string]time.Duration{}
	note := func(what string, ok bool) {
		if _, noted := gone[what]; ok && !noted {
			gone[what] = time.Since(killed)
		}
	}
	harness.Eventually(t, "nobody counts them any more", func() bool {
		note("API", slices.Equal(other.Listed(t), []string{"own"}) && other.Watching(t, streams) == 0)
		note("direct listener", slices.Equal(read.live(), []string{"own"}) && read.watching() == 1)
		note("documents", read.left("victim") == 0)
		return len(gone) == 3
	})
	gone["SSE"] = heard.Wait("they are gone", func(lives map[string]harness.Stream) bool {
		return slices.Equal(slices.Collect(maps.Keys(lives)), []string{"own"})
	}).Sub(killed)
	elsewhere.Wait("no card but its own",
		`[...document.querySelectorAll("[data-stream]")].map((e) => e.dataset.stream).join() === "own"`)
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
	if n := other.Stream(t, "own").Viewers; n != 1 {
		t.Errorf("the stream of the other server has %d viewers", n)
	}
	elsewhere.CheckConsole()
}

// TestServerComesBackOnFirestore: the next server under the same name does not wait for the lease to run out.
func TestServerComesBackOnFirestore(t *testing.T) {
	t.Parallel()
	_, project := harness.UseFirestore(t)
	dir := filepath.Join(t.TempDir(), "data")
	p := startOnFirestore(t, dir, project, "phoenix")
	streams := []siaran.StreamName{"ada", "bela"}
	crowd := gather(t, &p.Server, streams, 6)
	read := readDirectly(t, project)
	harness.Eventually(t, "all is listed", func() bool { return len(read.live()) == 2 && read.watching() == 6 })
	p.Kill(t)
	killed := time.Now()
	crowd.vanish()

	again := startOnFirestore(t, dir, project, "phoenix", "--grace=1s") // nobody comes back
	// The lease does not run out any more, for the new server renews it.
	harness.Eventually(t, "what was left is gone, but for the new lease", func() bool {
		return len(read.live()) == 0 && read.watching() == 0 && read.left("phoenix") == 1
	})
	t.Logf("gone %v after the kill", time.Since(killed))
	again.Broadcast(t, "ada", again.Admin, 25).WaitSent(3)
	harness.Eventually(t, "live again", func() bool { return slices.Equal(read.live(), []string{"ada"}) })
}

// TestTwoServersOnFirestore: what one server does, the other tells.
func TestTwoServersOnFirestore(t *testing.T) {
	t.Parallel()
	on, _ := harness.UseFirestore(t)
	one, two := harness.Start(t, on("one")), harness.Start(t, on("two"))
	b := one.Broadcast(t, "cats", one.Admin, 25)
	b.WaitSent(3)
	harness.Eventually(t, "live at the other", func() bool { return two.Stream(t, "cats").Status == "live" })
	if code := two.Call(t, http.MethodPatch, "/api/streams/cats", two.Admin, `{"title":"Two cats"}`); code/100 != 2 {
		t.Fatalf("the other server answers %d", code)
	}
	harness.Eventually(t, "the title is at home", func() bool { return one.Stream(t, "cats").Title == "Two cats" })
	for n := range 3 {
		one.Watch(t, "cats")
		harness.Eventually(t, fmt.Sprintf("%d viewers at the other", n+1), func() bool {
			return two.Stream(t, "cats").Viewers == n+1 && len(two.Viewers(t, "cats")) == n+1
		})
	}
	if _, err := whip.Dial(t.Context(), whip.Config{URL: two.WHIP("cats"), Token: two.Admin,
		Tracks: harness.Tracks}); !harness.Refused(err, http.StatusConflict) {
		t.Errorf("a stream that is live elsewhere: %v", err)
	}
	b.Stop()
	harness.Eventually(t, "offline at the other", func() bool { return two.Stream(t, "cats").Status == "offline" })
	two.Broadcast(t, "cats", two.Admin, 25).WaitSent(3)
	harness.Eventually(t, "live at the first", func() bool { return one.Stream(t, "cats").Status == "live" })
}
