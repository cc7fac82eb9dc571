package cluster

import (
	"bufio"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/testutil"
	"siaran/internal/whep"
	"siaran/web/access"
)

// TestParentIsKilled: the same without a goodbye. The edge has a copy of the secret that the parent has made.
func TestParentIsKilled(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	if _, _, err := access.OpenSecret(data); err != nil {
		t.Fatal(err)
	}
	address := testutil.FreeAddress(t)
	start := func() *harness.Process {
		t.Helper()
		return harness.StartCommand(t, exec.Command(harness.Command(t), "serve", "--demo", "--listen", address,
			"--udp=127.0.0.1:0", "--turn=", "--node=origin", "--data", data))
	}
	origin := start()
	edge := node(t, "edge", filepath.Join(data, "secret.key"), below("http://"+address))
	edge.WaitListed(t, server.DemoStream)
	var seen harness.Pictures
	edge.Watch(t, server.DemoStream, func(c *whep.Config) { c.Packet = seen.Packet })
	plays := func() bool {
		_, frames, _ := seen.Get()
		return frames > 25
	}
	harness.Eventually(t, "the demo plays", plays)
	harness.Eventually(t, "its viewer counts", func() bool { return origin.Stream(t, server.DemoStream).Viewers == 1 })
	origin.Kill(t)
	harness.Eventually(t, "the edge says that it is interrupted", func() bool {
		return edge.Stream(t, server.DemoStream).Status == "interrupted"
	})
	seen.Forget()
	again := start()
	harness.Eventually(t, "the demo plays again", plays)
	harness.Eventually(t, "its viewer counts again", func() bool {
		return again.Stream(t, server.DemoStream).Viewers == 1
	})
	if n := lines(edge, "viewer gone"); n != 0 {
		t.Error("the viewer was sent away")
	}
	_, _, longest := seen.Get()
	t.Logf("the longest time between two pictures was %v", longest)
}

// TestParentReturns ends the origin while viewers watch at an edge. They keep their sessions until it is back, with its
// broadcaster.
func TestParentReturns(t *testing.T) {
	t.Parallel()
	secret := secretFile(t)
	origin := node(t, "origin", secret, func(c *server.Config) { c.Listen = testutil.FreeAddress(t) })
	edge := node(t, "edge", secret, below(origin.URL))
	b := goLive(t, origin)
	viewers := watchAll(t, edge, 5)
	for _, v := range viewers {
		v.WaitPicture(b.Sent())
	}
	b.Vanish()
	origin.Stop(t)
	harness.Eventually(t, "the edge says that it is interrupted", func() bool {
		return edge.Stream(t, harness.Cats).Status == "interrupted"
	})
	again := node(t, "origin", secret, func(c *server.Config) { c.Listen, c.Data = origin.Address(), origin.Data })
	again.Admin = origin.Admin // the token that the stream waits for
	b = goLive(t, again)
	for _, v := range viewers {
		v.WaitKeyframe(b.FirstMedia())
		select {
		case <-v.Session.Lost():
			t.Error("a viewer has lost its session")
		default:
		}
	}
	if n := lines(edge, "viewer gone"); n != 0 {
		t.Errorf("%d viewers were sent away", n)
	}
	if lines(edge, "cannot get streams") == 0 {
		t.Error("nothing says that the parent was away")
	}
	harness.Eventually(t, "the new origin counts them", func() bool { return again.Stream(t, harness.Cats).Viewers == 5 })
}

// TestBroadcasterReturns: viewers at an edge stay for as long as those at the origin. A broadcaster who comes to the
// edge is sent on to the origin.
func TestBroadcasterReturns(t *testing.T) {
	t.Parallel()
	secret := secretFile(t)
	keep := func(c *server.Config) { c.KeepViewers = 10 * time.Minute }
	origin := node(t, "origin", secret, keep)
	edge := node(t, "edge", secret, keep, below(origin.URL))
	b := goLive(t, origin)
	v := edge.Watch(t, harness.Cats)
	v.WaitPicture(b.Sent())
	harness.Eventually(t, "the origin counts the viewer", func() bool {
		return origin.Stream(t, harness.Cats).Viewers == 1
	})
	told := tells(t, v)
	wantTold(t, told, "active")
	b.Stop()
	wantTold(t, told, "inactive")
	harness.Eventually(t, "the edge says that it is over", func() bool {
		return edge.Stream(t, harness.Cats).Status == "offline"
	})
	next := edge.Broadcast(t, harness.Cats, origin.Admin, 25)
	wantTold(t, told, "active")
	harness.WaitTransport(t, origin, "udp")
	v.WaitKeyframe(next.FirstMedia())
	select {
	case <-v.Session.Lost():
		t.Error("the viewer has lost its session")
	default:
	}
}

// tells follows the events of a viewer's session, and returns those that say whether the stream is live.
func tells(t *testing.T, v *harness.Viewer) <-chan string {
	t.Helper()
	post, err := http.Post(v.Session.Resource()+"/events", "application/json", strings.NewReader(`["active","inactive"]`))
	if err != nil {
		t.Fatal(err)
	}
	post.Body.Close()
	at, err := post.Location()
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(at.String())
	if err != nil {
		t.Fatal(err)
	}
	told, done := make(chan string, 16), make(chan struct{})
	go func() {
		defer close(done)
		for text := bufio.NewScanner(res.Body); text.Scan(); {
			if event, ok := strings.CutPrefix(text.Text(), "event: "); ok {
				select {
				case told <- event:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		res.Body.Close()
		<-done
	})
	return told
}

func wantTold(t *testing.T, told <-chan string, want string) {
	t.Helper()
	select {
	case got := <-told:
		if got != want {
			t.Errorf("the viewer is told %q, want %q", got, want)
		}
	case <-time.After(testutil.Patience):
		t.Errorf("the viewer is not told that it is %s", want)
	}
}
