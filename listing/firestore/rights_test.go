package firestore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing/firestore/emulator"
	"siaran/listing/listingtest"
)

const alice, bob = "firebase:uid-of-alice", "firebase:uid-of-bob"

// stranger is somebody with the rights of an app: none but those that firestore.rules give to everybody.
type stranger struct {
	t      *testing.T
	client *http.Client
	base   string
}

func newStranger(t *testing.T, project string) stranger {
	t.Helper()
	text, err := os.ReadFile("../../firestore.rules")
	if err != nil {
		t.Fatal(err)
	}
	host := "http://" + emulator.Start(t)
	connections := new(http.Transport)
	t.Cleanup(connections.CloseIdleConnections)
	base := host + "/v1/projects/" + project + "/databases/(default)/documents"
	s := stranger{t, &http.Client{Transport: connections}, base}
	rules := map[string]any{"rules": map[string]any{
		"files": []any{map[string]any{"name": "firestore.rules", "content": string(text)}},
	}}
	if code, body := s.do(http.MethodPut, host+"/emulator/v1/projects/"+project+":securityRules", rules); code != 200 {
		t.Fatalf("the rules are not taken: %d %s", code, body)
	}
	return s
}

// do makes a request of the REST API, signed in as nobody.
func (s stranger) do(method, url string, body any) (int, string) {
	s.t.Helper()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, url, content)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func (s stranger) get(path string) (int, string) {
	s.t.Helper()
	return s.do(http.MethodGet, s.base+"/"+path, nil)
}

// find asks for at most 50 documents of a collection whose fields have these values.
func (s stranger) find(collection string, values map[string]string) (int, string) {
	s.t.Helper()
	var filters []any
	for field, value := range values {
		filters = append(filters, map[string]any{"fieldFilter": map[string]any{
			"field": map[string]any{"fieldPath": field}, "op": "EQUAL", "value": map[string]any{"stringValue": value},
		}})
	}
	query := map[string]any{"from": []any{map[string]any{"collectionId": collection}}, "limit": 50}
	if len(filters) > 0 {
		query["where"] = map[string]any{"compositeFilter": map[string]any{"op": "AND", "filters": filters}}
	}
	return s.do(http.MethodPost, s.base+":runQuery", map[string]any{"structuredQuery": query})
}

// TestRightsAreClosed: nobody learns from what the rules show to everybody who owns a stream, nor how often its keys
// were renewed, neither by reading nor by asking for streams of an owner.
func TestRightsAreClosed(t *testing.T) {
	t.Parallel()
	ctx, project := t.Context(), emulator.Project()
	f := open(t, Config{Project: project, Logger: testLogger(t)})
	if err := f.Renew(ctx, siaran.Node{Name: "eins", LeaseUntil: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	private := siaran.VisibilityPrivate
	for _, name := range []siaran.StreamName{"cats", "family", "offline"} {
		if err := f.Claim(ctx, name, "eins", alice, 10); err != nil {
			t.Fatal(err)
		}
		if _, err := f.RotateKeys(ctx, name); err != nil {
			t.Fatal(err)
		}
		if name == "family" {
			if _, err := f.Edit(ctx, name, siaran.StreamEdit{Visibility: &private}); err != nil {
				t.Fatal(err)
			}
		}
		if name == "offline" {
			continue
		}
		state := siaran.BroadcastState{
			ID: siaran.BroadcastID("b-" + name), Stream: name, Owner: alice, Status: siaran.StatusLive, StartedAt: time.Now(),
		}
		joined := []siaran.Viewer{{ID: "v", JoinedAt: time.Now(), Path: "direct"}}
		update := siaran.Update{Node: "eins", At: time.Now(), Changes: []siaran.Change{{State: state, Joined: joined}}}
		if err := f.Apply(ctx, update); err != nil {
			t.Fatal(err)
		}
	}
	s := newStranger(t, project)
	public := map[string]string{"visibility": "public"}
	readable := 0
	look := func(what string, code int, body string) {
		t.Helper()
		if code == http.StatusOK {
			readable++
		} else if code != http.StatusForbidden {
			t.Errorf("%s: %d %s", what, code, body)
		}
		for _, secret := range []string{"uid-of-alice", `"owner"`, `"keyGeneration"`} {
			if strings.Contains(body, secret) {
				t.Errorf("%s: %s is in %s", what, secret, body)
			}
		}
	}
	for _, path := range []string{
		"streams/cats", "streams/offline", "streams/cats/viewers?pageSize=50", "streams/cats/broadcasts?pageSize=50",
		"nodes?pageSize=50",
	} {
		code, body := s.get(path)
		if look(path, code, body); code != http.StatusOK || !strings.Contains(body, "fields") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	code, body := s.find("streams", public)
	if look("public streams", code, body); !strings.Contains(body, "streams/cats") || !strings.Contains(body, "b-cats") {
		t.Errorf("the public streams are %d %s", code, body)
	}
	if code, body := s.find("streams", map[string]string{"visibility": "public", "owner": alice}); code == http.StatusOK &&
		strings.Contains(body, "streams/") {
		t.Errorf("asked whose streams these are, the database says %s", body)
	}
	closed := readable
	for _, path := range []string{
		"streams/family", "rights/cats", "rights/family", "rights/unknown", "rights?pageSize=1", "rights?pageSize=50",
		"streams/cats/rights/cats",
	} {
		code, body := s.get(path)
		look(path, code, body)
	}
	for _, values := range []map[string]string{nil, {"owner": alice}, {"visibility": "public"}} {
		code, body := s.find("rights", values)
		look(fmt.Sprint("rights with ", values), code, body)
	}
	for _, path := range []string{"rights/cats", "rights/new", "streams/cats"} {
		code, body := s.do(http.MethodPatch, s.base+"/"+path, map[string]any{"fields": map[string]any{
			"owner": map[string]any{"stringValue": bob},
		}})
		look("a write to "+path, code, body)
	}
	if readable != closed {
		t.Errorf("%d things are open that must be closed", readable-closed)
	}
}

// TestRightsAreSeenElsewhere: what one server changes of the rights of a live stream, another sees in its memory.
func TestRightsAreSeenElsewhere(t *testing.T) {
	t.Parallel()
	ctx, cfg := t.Context(), Config{Project: emulator.Project()}
	one, two := startStation(t, "one", cfg), startStation(t, "two", cfg)
	if err := one.f.Claim(ctx, "cats", "one", alice, 0); err != nil {
		t.Fatal(err)
	}
	p := listingtest.Publish(t, one.hub, "cats")
	remembers := func(owner string, generation int) {
		t.Helper()
		testutil.Eventually(t, fmt.Sprintf("the other server knows of %s, %d", owner, generation), func() bool {
			row, ok := two.f.mirror.live("cats")
			return ok && row.LeaseUntil != 0 && row.Owner == owner && row.KeyGeneration == generation
		})
	}
	remembers(alice, 0)
	if _, err := two.f.RotateKeys(ctx, "cats"); err != nil {
		t.Fatal(err)
	}
	remembers(alice, 1)
	listingtest.Join(t, p)
	testutil.Eventually(t, "the count", func() bool { row, _ := two.f.mirror.live("cats"); return row.Viewers == 1 })
	remembers(alice, 1)
	owner := bob
	if _, err := one.f.Edit(ctx, "cats", siaran.StreamEdit{Owner: &owner}); err != nil {
		t.Fatal(err)
	}
	remembers(bob, 2)
}

// TestCostOfRights counts what an operation reads and writes. A transaction that had to be tried again, as may happen
// on a busy machine, costs more, so there are several attempts, each with a stream of its own.
func TestCostOfRights(t *testing.T) {
	t.Parallel()
	f := open(t, Config{Project: emulator.Project()})
	var wrong []string
	for attempt := range 5 {
		testutil.Eventually(t, "it follows the database", func() bool {
			_, known := f.mirror.olderServers()
			return known && f.migrated.Load()
		})
		name, owner := siaran.StreamName(fmt.Sprint("cats-", attempt)), fmt.Sprint("firebase:", attempt)
		if wrong = costsOfRights(t, f, name, owner); len(wrong) == 0 {
			return
		}
	}
	t.Error(strings.Join(wrong, "\n"))
}

// costsOfRights returns what costs more than it should.
func costsOfRights(t *testing.T, f *Listing, name siaran.StreamName, owner string) (wrong []string) {
	t.Helper()
	ctx, title := t.Context(), "t"
	for _, test := range []struct {
		what          string
		do            func() error
		reads, writes uint64
	}{
		{"a name that nobody uses", func() error { _, err := f.Stream(ctx, name); return err }, 1, 0},
		{"a first use with a key", func() error { return f.Claim(ctx, name, "n", "", 10) }, 1, 1},
		{"a stream without rights", func() error { _, err := f.Stream(ctx, name); return err }, 1, 0},
		{"its title", func() error { _, err := f.Edit(ctx, name, siaran.StreamEdit{Title: &title}); return err }, 1, 1},
		{"an owner", func() error { return f.Claim(ctx, name, "n", owner, 10) }, 2, 2},
		{"its owner again", func() error { return f.Claim(ctx, name, "n", owner, 10) }, 2, 0},
		{"a stream with rights", func() error { _, err := f.Stream(ctx, name); return err }, 2, 0},
		{"new keys", func() error { _, err := f.RotateKeys(ctx, name); return err }, 2, 2},
		{"a title", func() error { _, err := f.Edit(ctx, name, siaran.StreamEdit{Title: &title}); return err }, 2, 1},
		{"a list of one", func() error {
			_, err := f.Streams(ctx, siaran.StreamQuery{All: true, Limit: 1})
			return err
		}, 1, 0},
		{"an account's list", func() error {
			list, err := f.Streams(ctx, siaran.StreamQuery{All: true, Private: true, Owner: owner})
			if err == nil && (len(list) != 1 || list[0].Owner != owner || list[0].KeyGeneration != 1) {
				err = fmt.Errorf("%+v", list)
			}
			return err
		}, 2, 0},
	} {
		before := f.Stats()
		if err := test.do(); err != nil && !errors.Is(err, siaran.ErrUnknownStream) {
			t.Fatalf("%s: %v", test.what, err)
		}
		after := f.Stats()
		if r, w := after.Reads-before.Reads, after.Writes-before.Writes; r > test.reads || w != test.writes {
			wrong = append(wrong, fmt.Sprintf("%s: %d reads and %d writes, want %d and %d", test.what, r, w, test.reads,
				test.writes))
		}
	}
	return wrong
}

// TestLostRights: a stream whose document of rights somebody has deleted by hand is not there for the taking.
func TestLostRights(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := open(t, Config{Project: emulator.Project()})
	if err := f.Claim(ctx, "cats", "n", alice, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.rightsOf("cats").Delete(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.Claim(ctx, "cats", "n", bob, 0); !errors.Is(err, siaran.ErrNotOwner) {
		t.Errorf("another account's claim: %v", err)
	}
	lost, err := f.Stream(ctx, "cats")
	if err != nil || lost.KeyGeneration == 0 {
		t.Errorf("%+v, %v: first keys are valid", lost, err)
	}
	owner := bob
	if s, err := f.Edit(ctx, "cats", siaran.StreamEdit{Owner: &owner}); err != nil || s.Owner != bob {
		t.Errorf("an administrator gave it away: %+v, %v", s, err)
	}
	if s, err := f.Stream(ctx, "cats"); err != nil || s.Owner != bob || s.KeyGeneration <= lost.KeyGeneration {
		t.Errorf("%+v, %v", s, err)
	}
}
