package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"siaran"
	"siaran/internal/testutil"
	"siaran/web/access"
)

// TestAdminsSeeEverything and nobody else anything.
func TestAdminsSeeEverything(t *testing.T) {
	t.Parallel()
	s := start(t)
	token := s.publisher("cats")
	s.onAir("cats", token)
	// With a token, so that the viewer stays when the stream turns private.
	s.viewer().mustOpen("/whep/cats", s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Watch}}))
	id := s.onlyViewer("cats", token)
	private := siaran.VisibilityPrivate
	_, err := s.listing.Edit(t.Context(), "cats", siaran.StreamEdit{Visibility: &private})
	s.must(err)
	const viewers = "/api/admin/streams/cats/viewers"
	for _, path := range []string{"/api/admin", viewers} {
		wantProblem(t, s.do(call{method: "GET", path: path}), 401)
		for name, c := range map[string]access.Claims{
			"publish": {Stream: "cats", Scopes: []access.Scope{access.Publish}},
			"all":     {Stream: access.AllStreams, Scopes: []access.Scope{access.Publish, access.Watch}},
			"one":     {Stream: "cats", Scopes: []access.Scope{access.Admin}},
		} {
			if r := s.do(call{method: "GET", path: path, token: s.token(c)}); r.StatusCode != 403 {
				t.Errorf("%s with the token %s: %d", path, name, r.StatusCode)
			}
		}
	}
	var page struct {
		Viewers []struct {
			ID, Path, Reason string
			Bitrate          int
		}
		Total int
	}
	testutil.Eventually(t, "the viewer's figures come", func() bool {
		s.get(viewers, s.admin, &page)
		return page.Total == 1 && page.Viewers[0].Bitrate > 0 && page.Viewers[0].Reason == "best"
	})
	if page.Viewers[0].ID != id || page.Viewers[0].Path != "direct" {
		t.Errorf("%+v", page)
	}
	for query, status := range map[string]int{
		"?skip=1": 200, "?limit=0": 200, "?skip=-1": 400, "?limit=501": 400, "?limit=x": 400, "?skip=99999999999": 400,
	} {
		if r := s.do(call{method: "GET", path: viewers + query, token: s.admin}); r.StatusCode != status {
			t.Errorf("%s: %d %s", query, r.StatusCode, r.body)
		}
	}
	var o adminOverview
	testutil.Eventually(t, "the overview shows the stream", func() bool {
		r := s.do(call{method: "GET", path: "/api/admin", token: s.admin})
		o = adminOverview{}
		s.must(json.Unmarshal([]byte(r.body), &o))
		return len(o.Broadcasts) == 1 && o.Broadcasts[0].Audience.Bitrate > 0
	})
	b := o.Broadcasts[0]
	if b.Name != "cats" || b.Visibility != private || b.Viewers != 1 || b.Audience.Viewers != 1 || b.Health == nil {
		t.Errorf("%+v", b)
	}
	if len(o.Nodes) != 1 || !o.Nodes[0].Here || o.Nodes[0].Broadcasts != 1 || len(o.Events) == 0 {
		t.Errorf("%+v", o)
	}
	s.do(call{method: "DELETE", path: "/api/streams/cats/viewers/" + id, token: s.admin})
	s.do(call{method: "POST", path: "/api/streams/cats/keys", token: token})
	s.do(call{method: "DELETE", path: "/api/streams/cats/broadcast", token: s.admin})
	testutil.Eventually(t, "what has happened is in the log", func() bool {
		seen := make(map[adminEventKind]string)
		for _, e := range s.server.events.list() {
			seen[e.Kind] = e.Detail
		}
		_, began := seen[eventBegan]
		_, keys := seen[eventKeys]
		return began && keys && seen[eventKicked] == id && seen[eventEnded] == string(siaran.EndByOwner)
	})
}

func TestEventLogIsBounded(t *testing.T) {
	l := new(eventLog)
	if list := l.list(); list == nil || len(list) != 0 {
		t.Errorf("an empty log: %v", list)
	}
	for n := range 3 * maxAdminEvents {
		l.add(eventEdited, "cats", fmt.Sprint(n))
	}
	list := l.list()
	if len(list) != maxAdminEvents || list[0].ID != 3*maxAdminEvents || list[0].Detail != fmt.Sprint(3*maxAdminEvents-1) {
		t.Errorf("%d events, the newest %+v", len(list), list[0])
	}
	for i := range list[1:] {
		if list[i+1].ID != list[i].ID-1 {
			t.Fatalf("%d after %d", list[i+1].ID, list[i].ID)
		}
	}
}

func TestAdminPage(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := s.do(call{method: "GET", path: "/admin"}.with("Accept", "text/html"))
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Security-Policy") != pagePolicy+"'none'" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}
