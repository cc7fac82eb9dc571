package main

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"siaran"
	"siaran/cmd/siaran/internal/whep"
	"siaran/cmd/siaran/internal/whip"
	"siaran/web/access"
)

// listedAt waits until a server knows that a stream is live, wherever.
func (s *testServer) listedAt(t *testing.T, name siaran.StreamName) {
	t.Helper()
	eventually(t, string(name)+" is listed", func() bool { return s.stream(t, name).Status == "live" })
}

// TestWatchAtAnotherServer: an ordinary client asks one server for what is live on another.
func TestWatchAtAnotherServer(t *testing.T) {
	on, _ := useFirestore(t)
	one, two := startServer(t, on("one")), startBare(t, on("two"))
	b := one.broadcast(t, "cats", one.Admin, 25)
	b.waitSent(3)
	two.listedAt(t, "cats")
	var path string
	v := two.watch(t, "cats", func(c *whep.Config) {
		c.Client = &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error { path = r.Method + " " + r.URL.String(); return nil }}
	})
	v.waitPicture(10)
	if want := "POST " + one.whep("cats") + "?redirected=1"; path != want {
		t.Errorf("redirected to %q, want %q", path, want)
	}
	eventually(t, "it is counted where it watches", func() bool { return two.stream(t, "cats").Viewers == 1 })
	v.leave()
	eventually(t, "it has left", func() bool { return two.stream(t, "cats").Viewers == 0 })

	_, err := whip.Dial(t.Context(), whip.Config{URL: two.whip("cats"), Token: two.Admin, Tracks: testTracks})
	if !refused(err, http.StatusConflict) || !strings.Contains(err.Error(), "the server one ("+one.URL+")") {
		t.Errorf("publishing it at the other: %v", err)
	}
	res := two.get(t, two.URL+"/watch/cats", "")
	if got := res.Request.URL.String(); res.StatusCode != http.StatusOK || got != one.URL+"/watch/cats?redirected=1" {
		t.Errorf("the page: %d at %s", res.StatusCode, got)
	}
}

// TestPagesLeadToAnotherServer: a card, an embedded player and a page that waits lead to where the stream is.
func TestPagesLeadToAnotherServer(t *testing.T) {
	on, _ := useFirestore(t)
	one, two := startServer(t, on("one")), startBare(t, on("two"))
	one.publishDemo(t, "kopi")
	b := startBrowser(t)
	at := func(p *tab, want string) {
		t.Helper()
		p.wait("the other server's page", `location.href === "`+want+`"`)
		p.waitMedia()
		p.checkQuiet()
	}
	visitor := b.open(two.URL + "/")
	card := `document.querySelector('[data-stream="kopi"]')`
	visitor.wait("a card", card)
	for _, l := range looks {
		visitor.look(l)
		visitor.do("settle", waitSettled())
		visitor.shot("elsewhere-" + l.name)
	}
	visitor.look(looks[0])
	visitor.click(card + `.querySelector("a")`)
	at(visitor, one.URL+"/watch/kopi")
	at(b.open(two.URL+"/embed/kopi"), one.URL+"/embed/kopi")
	guest := b.open(two.playerElsewhere(t, "kopi")) // stays where it is, and its player follows
	guest.waitMedia()
	eventually(t, "three watch", func() bool { return len(one.viewers(t, "kopi")) == 3 })
	guest.close()
	eventually(t, "the guest has left", func() bool { return len(one.viewers(t, "kopi")) == 2 })
	guest.checkQuiet()

	waiting, framed := b.open(two.URL+"/watch/later?relay"), b.open(two.URL+"/embed/later")
	waiting.waitState("waiting")
	framed.waitState("waiting")
	stop := one.publishDemo(t, "later")
	at(waiting, one.URL+"/watch/later?relay=")
	at(framed, one.URL+"/embed/later")
	stop()
	waiting.waitState("ended")
	eventually(t, "the name is free", func() bool { return two.stream(t, "later").Status == "offline" })
	two.publishDemo(t, "later")
	at(waiting, two.URL+"/watch/later?relay=")
}

// TestPageIsLoadedAnewOnce: of a private stream the page cannot be sent on, as it carries no token. The page tries that once and waits on.
func TestPageIsLoadedAnewOnce(t *testing.T) {
	on, _ := useFirestore(t)
	one, two := startServer(t, on("one")), startBare(t, on("two"))
	if code := two.call(t, http.MethodPatch, "/api/streams/secret", two.Admin, `{"visibility":"private"}`); code/100 != 2 {
		t.Fatalf("the server answers %d", code)
	}
	p := startBrowser(t).open(two.URL + "/watch/secret#token=" + two.token(t, "secret", access.Watch))
	p.waitState("waiting")
	eval[bool](p, `window.first = true`)
	one.publishDemo(t, "secret")
	p.wait("the page is loaded anew", `!window.first && document.body?.dataset.state === "waiting"`)
	eval[bool](p, `(window.told = 0, `+player+`.addEventListener("elsewhere", () => told++), true)`)
	p.wait("it is told again, twice", `(`+player+`.receiver.again(), window.told >= 2)`)
	p.waitState("waiting")
	if at := eval[string](p, "location.href"); at != two.URL+"/watch/secret" {
		t.Errorf("it is at %s", at)
	}
	p.checkQuiet()
}

// TestNodeURL is what other servers are told.
func TestNodeURL(t *testing.T) {
	for listen, c := range map[string]struct {
		base, want string
	}{
		"127.0.0.1:0": {"", "http://127.0.0.1:"},
		":0":          {"", ""},
		"0.0.0.0:0":   {"http://192.0.2.7:8080", "http://192.0.2.7:8080"},
	} {
		cfg := testConfig(t.TempDir())
		cfg.Listen, cfg.BaseURL = listen, c.base
		cfg, err := cfg.checked()
		if err != nil {
			t.Fatal(err)
		}
		s, err := openServer(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		got := s.nodeURL()
		if err := s.close(); err != nil {
			t.Error(err)
		}
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("--listen %s --base-url %q: %q, want %q", listen, c.base, got, c.want)
		}
	}
}
