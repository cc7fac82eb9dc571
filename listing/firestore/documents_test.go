package firestore

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"

	"siaran"
	"siaran/listing/firestore/emulator"
)

func TestDocumentID(t *testing.T) {
	for _, name := range []string{
		"cats", "", ".", "..", "...", "__a__", "____", "__a", "a/b", "%", "%2F", "50%", "ä🐈",
		strings.Repeat("n", 100),
	} {
		id := documentID(name)
		if id == "" || id == "." || id == ".." || strings.Contains(id, "/") ||
			strings.HasPrefix(id, "__") && strings.HasSuffix(id, "__") {
			t.Errorf("Firestore does not take the id %q of %q", id, name)
		}
		if got := nameOf(id); got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
}

// FuzzDocument reads documents as anyone, or another version, may have written them.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"title":1,"visibility":null,"status":"live","node":["x"],"startedAt":"2026","viewers":-1}`,
		`{"title":"t","visibility":"public","status":"live","node":"n","broadcastId":"b","startedAt":{"time":1},
			"codecs":{"video":"H264","audio":7},"width":1e99,"height":-5,"layers":[{"rid":"h","width":"wide"},3,null]}`,
		`{"status":"interrupted","codecs":[],"layers":{},"viewers":1.5,"keyGeneration":9223372036854775807}`,
		`{"leaseUntil":{"time":-62135596800},"endedAt":{"time":253402300799},"reason":5,"status":"strange"}`,
		`{"layers":[{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}]}`,
	} {
		f.Add("name", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, id string, text []byte) {
		var m map[string]any
		if json.Unmarshal(text, &m) != nil {
			return
		}
		doc := fields(typed(m).(map[string]any))
		row := readStreamDocument(nameOf(id), doc)
		for _, lease := range []int64{0, 1} {
			row.LeaseUntil = lease
			s := row.View()
			if s.Viewers < 0 || s.KeyGeneration < 0 || len(s.Layers) > maxLayers ||
				s.Visibility != siaran.VisibilityPublic && s.Visibility != siaran.VisibilityPrivate {
				t.Errorf("%+v", s)
			}
			if s.Visibility == siaran.VisibilityPublic && doc["visibility"] != "public" {
				t.Error("a stream that is not said to be public is shown")
			}
		}
		readBroadcastDocument("s", nameOf(id), doc)
		readViewerDocument("s", nameOf(id), doc)
		lastSignOf(doc, doc.time("leaseUntil"), time.Now())
		if documentID(nameOf(documentID(id))) != documentID(id) {
			t.Errorf("the id of %q is not stable", id)
		}
	})
}

// typed converts values from JSON to the types that Firestore returns.
func typed(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<62 {
			return int64(v)
		}
	case []any:
		for i := range v {
			v[i] = typed(v[i])
		}
	case map[string]any:
		if at, ok := v["time"].(float64); ok && math.Abs(at) < 1e12 {
			return time.Unix(int64(at), 0)
		}
		for k := range v {
			v[k] = typed(v[k])
		}
	}
	return v
}

func TestDocumentsRoundTrip(t *testing.T) {
	m := tracks{
		&siaran.VideoState{Codec: siaran.AV1, Width: 1280, Height: 720},
		&siaran.AudioState{Codec: siaran.Opus},
		[]siaran.LayerState{{RID: "h", Width: 1280, Height: 720}},
	}
	for _, want := range []tracks{m, {Audio: m.Audio}, {Video: m.Video}, {}} {
		doc := newStream(time.Now())
		want.put(doc)
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var stored map[string]any
		if err := json.Unmarshal(text, &stored); err != nil {
			t.Fatal(err)
		}
		if got := fields(typed(stored).(map[string]any)).tracks(); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// TestHistoryNamesNobody checks that nobody can find out which broadcasts were published with the same credential.
func TestHistoryNamesNobody(t *testing.T) {
	t.Parallel()
	f := open(t, Config{Project: emulator.Project(), Logger: testLogger(t)})
	if err := f.Renew(t.Context(), siaran.Node{Name: "eins", LeaseUntil: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	state := siaran.BroadcastState{
		ID:        "b",
		Stream:    "cats",
		Owner:     "key:jti-of-a-token",
		Status:    siaran.StatusLive,
		StartedAt: time.Now(),
	}
	for _, status := range []siaran.Status{siaran.StatusLive, siaran.StatusOffline} {
		state.Status = status
		update := siaran.Update{
			Node:    "eins",
			At:      time.Now(),
			Changes: []siaran.Change{{State: state, Joined: []siaran.Viewer{{ID: "v", JoinedAt: time.Now()}}}},
		}
		if err := f.Apply(t.Context(), update); err != nil {
			t.Fatal(err)
		}
		for _, ref := range []*firestore.DocumentRef{f.broadcast("cats", "b"), f.stream("cats"), f.viewer("cats", "v")} {
			snap, err := f.get(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			if text := fmt.Sprint(snap.Data()); strings.Contains(text, "jti-of-a-token") {
				t.Errorf("%s, %s: %s", ref.Path, status, text)
			}
		}
	}
}
