package listing

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"siaran"
)

func TestDocumentID(t *testing.T) {
	for _, name := range []string{"cats", "", ".", "..", "...", "__a__", "____", "__a", "a/b", "%", "%2F", "50%", "ä🐈", strings.Repeat("n", 100)} {
		id := documentID(name)
		if id == "" || id == "." || id == ".." || strings.Contains(id, "/") || strings.HasPrefix(id, "__") && strings.HasSuffix(id, "__") {
			t.Errorf("Firestore does not take the id %q of %q", id, name)
		}
		if got := nameOf(id); got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
}

// FuzzDocument reads documents that anyone may have written, or another version.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"title":1,"visibility":null,"status":"live","node":["x"],"startedAt":"2026","viewers":-1}`,
		`{"title":"t","visibility":"public","status":"live","node":"n","broadcastId":"b","startedAt":{"time":1},"codecs":{"video":"H264","audio":7},"width":1e99,"height":-5,"layers":[{"rid":"h","width":"wide"},3,null]}`,
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
			s, err := row.stream()
			if err != nil {
				t.Fatal(err)
			}
			if s.Viewers < 0 || s.KeyGeneration < 0 || len(s.Layers) > maxLayers || s.Visibility != siaran.VisibilityPublic && s.Visibility != siaran.VisibilityPrivate {
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

// typed has the types that Firestore gives.
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
	m := media{&siaran.VideoState{Codec: siaran.AV1, Width: 1280, Height: 720}, &siaran.AudioState{Codec: siaran.Opus}, []siaran.LayerState{{RID: "h", Width: 1280, Height: 720}}}
	for _, want := range []media{m, {Audio: m.Audio}, {Video: m.Video}, {}} {
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
		if got := fields(typed(stored).(map[string]any)).media(); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}
