package firestore

import (
	"crypto/rand"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"siaran"
	"siaran/cluster"
	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/whep"
	"siaran/listing/firestore/emulator"
)

// served makes a viewer stay at the server that it asks, as one who has been redirected twice does.
func served(c *whep.Config) { c.URL += "?redirected=2" }

// pullsOf returns the lines of a server's log about pulls that have begun.
func pullsOf(s *harness.Server) (list []string) {
	for line := range strings.Lines(s.Logs.String()) {
		if strings.Contains(line, "pulling from the parent") || strings.Contains(line, "pulling again") {
			list = append(list, line)
		}
	}
	return list
}

// sharedSecret makes a secret for several servers.
func sharedSecret(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shared.key")
	key := make([]byte, 32)
	rand.Read(key)
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// clusterProcess starts a server of a cluster that can be killed.
func clusterProcess(t *testing.T, project, secret string, more ...string) *harness.Process {
	t.Helper()
	cmd := exec.Command(harness.Command(t), append([]string{"serve", "--dev", "--listing=firestore",
		"--firebase-project", project, "--listen=127.0.0.1:0", "--udp=127.0.0.1:0",
		"--secret-file", secret, "--data", t.TempDir()}, more...)...)
	cmd.Env = append(os.Environ(), harness.EmulatorVariable+"="+emulator.Start(t))
	return harness.StartCommand(t, cmd)
}

// TestClusterOnFirestore has an origin in one region and two edges in another one. Viewers play wherever they are, with
// one pull for each edge, one of them through the other; then that one is killed. At last there is a server that has
// too much to do: it sends viewers to the origin.
func TestClusterOnFirestore(t *testing.T) {
	t.Parallel()
	secret := sharedSecret(t)
	on, project := harness.UseFirestore(t)
	node := func(name, region string, options ...func(*server.Config)) *harness.Server {
		return harness.Start(t, append(options, on(name), func(c *server.Config) {
			c.Region, c.SecretFile = region, []string{secret}
		})...)
	}
	ranked := cluster.Rank(harness.Cats, []siaran.Node{{Name: "one"}, {Name: "two"}})
	origin, edge := node("origin", "far"), node(ranked[1].Name, "near")
	head := clusterProcess(t, project, secret, "--node", ranked[0].Name, "--region=near")
	b := origin.Broadcast(t, harness.Cats, origin.Admin, 25) // viewers may lose something when they are pulled anew
	for _, s := range []*harness.Server{edge, &head.Server} {
		s.WaitListed(t, harness.Cats)
	}

	known := head.Broadcast(t, "known", edge.Admin, 25)
	edge.WaitListed(t, "known") // as is what is live on a server that it knows
	known.Stop()

	var posts postLog
	first := watchWhenKnown(t, edge, func(c *whep.Config) { c.Client = &http.Client{Transport: &posts} })
	first.WaitPicture(10)
	if want := []string{edge.WHEP("cats"), head.WHEP("cats") + "?redirected=1"}; !slices.Equal(posts.last(2), want) {
		t.Errorf("posted to %q, want %q", posts.urls(), want)
	}
	viewers := make([]*harness.Viewer, 5)
	var coming sync.WaitGroup
	for i := range viewers {
		coming.Go(func() { viewers[i] = watchWhenKnown(t, edge, served) })
	}
	coming.Wait()
	for _, v := range viewers {
		v.WaitPicture(b.Sent())
	}
	again := strings.Count(edge.Logs.String(), "the parent's media has ended") // when the machine has stood still
	if list := pullsOf(edge); len(list) > 1+again || !strings.Contains(list[0], "parent="+ranked[0].Name) {
		t.Errorf("the edge pulls: %q", list)
	}
	harness.Eventually(t, "all viewers count at the origin", func() bool {
		return origin.Stream(t, harness.Cats).Viewers == 6
	})
	harness.Eventually(t, "and at an edge", func() bool { return edge.Stream(t, harness.Cats).Viewers == 6 })

	head.Kill(t)
	harness.Eventually(t, "the edge pulls from the origin", func() bool {
		list := pullsOf(edge)
		return len(list) > 1 && strings.Contains(list[len(list)-1], "parent=origin")
	})
	for _, v := range viewers {
		v.WaitPicture(b.Sent() + 25)
	}
	edge.Watch(t, harness.Cats).WaitPicture(b.Sent())
	if r := edge.Get(t, edge.URL+"/readyz", ""); r.StatusCode != http.StatusOK {
		t.Errorf("%d %s", r.StatusCode, r.Body)
	}

	busy := node("busy", "far", func(c *server.Config) { c.MaxEgress = 30_000 })
	watchWhenKnown(t, busy, served).WaitPicture(b.Sent())
	harness.Eventually(t, "a server is too busy for viewers who can go nowhere else", func() bool {
		v, err := busy.TryWatch(t, harness.Cats, served)
		if err == nil {
			v.Leave()
		}
		return harness.Refused(err, http.StatusServiceUnavailable)
	})
	harness.Eventually(t, "it sends a viewer to another one", func() bool { // unless it has sent little for a moment
		other := watchWhenKnown(t, busy, func(c *whep.Config) { c.Client = &http.Client{Transport: &posts} })
		defer other.Leave()
		other.WaitPicture(b.Sent())
		got := posts.last(2)
		return got[0] == busy.WHEP("cats") && !strings.HasPrefix(got[1], busy.URL)
	})
}

// watchWhenKnown has a viewer come as soon as the servers know one another.
func watchWhenKnown(t *testing.T, s *harness.Server, options ...func(*whep.Config)) (v *harness.Viewer) {
	t.Helper()
	harness.Eventually(t, "a viewer can watch", func() bool {
		var err error
		v, err = s.TryWatch(t, harness.Cats, options...)
		return err == nil
	})
	return v
}
