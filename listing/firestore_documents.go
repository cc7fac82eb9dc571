package listing

import (
	"net/url"
	"strings"
	"time"

	"cloud.google.com/go/firestore"

	"siaran"
)

// The places of documents; docs/firestore.md has the whole schema.
func (f *Firestore) nodes() *firestore.CollectionRef { return f.client.Collection("nodes") }

func (f *Firestore) node(name string) *firestore.DocumentRef { return f.nodes().Doc(documentID(name)) }

func (f *Firestore) streams() *firestore.CollectionRef { return f.client.Collection("streams") }

func (f *Firestore) stream(name siaran.StreamName) *firestore.DocumentRef {
	return f.streams().Doc(documentID(string(name)))
}

func (f *Firestore) viewer(stream siaran.StreamName, id siaran.ViewerID) *firestore.DocumentRef {
	return f.stream(stream).Collection("viewers").Doc(documentID(string(id)))
}

func (f *Firestore) broadcast(stream siaran.StreamName, id siaran.BroadcastID) *firestore.DocumentRef {
	return f.stream(stream).Collection("broadcasts").Doc(documentID(string(id)))
}

func (f *Firestore) count(stream siaran.StreamName, node string) *firestore.DocumentRef {
	return f.stream(stream).Collection("nodes").Doc(documentID(node))
}

// documentID makes an id that Firestore takes of any name: it knows no slashes, no "." and "..", and
// nothing between double underscores.
func documentID(name string) string {
	id := strings.NewReplacer("%", "%25", "/", "%2F").Replace(name)
	switch {
	case id == "":
		return "%"
	case id == "." || id == "..":
		return strings.ReplaceAll(id, ".", "%2E")
	case strings.HasPrefix(id, "__") && strings.HasSuffix(id, "__"):
		return "%5F" + id[1:]
	}
	return id
}

// nameOf undoes documentID.
func nameOf(id string) string {
	if id == "%" {
		return ""
	}
	name, err := url.PathUnescape(id)
	if err != nil { // not one of ours
		return id
	}
	return name
}

// fields is a document's content. Whoever wrote it, reading from it never fails: what is missing or of
// another type is the zero value.
type fields map[string]any

func (m fields) text(key string) string {
	s, _ := m[key].(string)
	return s
}

// number is never negative, as nothing that is counted is.
func (m fields) number(key string) int {
	switch n := m[key].(type) {
	case int64:
		return int(max(0, min(n, 1<<31-1)))
	case float64:
		if n > 0 && n < 1<<31 {
			return int(n)
		}
	}
	return 0
}

// time is 0 for none, else in microseconds.
func (m fields) time(key string) int64 {
	t, ok := m[key].(time.Time)
	if !ok || t.Unix() <= 0 {
		return 0
	}
	return micros(t)
}

func (m fields) group(key string) fields {
	g, _ := m[key].(map[string]any)
	return g
}

const maxLayers = 16 // that are read of one document

func (m fields) media() media {
	var out media
	codecs := m.group("codecs")
	if c := codecs.text("video"); c != "" {
		out.Video = &siaran.VideoState{Codec: siaran.CodecName(c), Width: m.number("width"), Height: m.number("height")}
	}
	if c := codecs.text("audio"); c != "" {
		out.Audio = &siaran.AudioState{Codec: siaran.CodecName(c)}
	}
	layers, _ := m["layers"].([]any)
	for _, l := range layers[:min(len(layers), maxLayers)] {
		if g, ok := l.(map[string]any); ok {
			layer := fields(g)
			out.Layers = append(out.Layers, siaran.LayerState{RID: layer.text("rid"), Width: layer.number("width"), Height: layer.number("height")})
		}
	}
	return out
}

// put writes media into a document's fields.
func (m media) put(into fields) {
	codecs := map[string]any{}
	var layers []any
	if m.Audio != nil {
		codecs["audio"] = string(m.Audio.Codec)
	}
	into["width"], into["height"] = 0, 0
	if m.Video != nil {
		codecs["video"] = string(m.Video.Codec)
		into["width"], into["height"] = m.Video.Width, m.Video.Height
	}
	for _, l := range m.Layers {
		layers = append(layers, map[string]any{"rid": l.RID, "width": l.Width, "height": l.Height})
	}
	into["codecs"], into["layers"] = codecs, layers
}

// readStreamDocument gives a row without a lease.
func readStreamDocument(name string, m fields) streamRow {
	r := streamRow{
		Name: name, Title: m.text("title"), Description: m.text("description"), Owner: m.text("owner"),
		Visibility: string(siaran.VisibilityPrivate), KeyGeneration: m.number("keyGeneration"),
		Status: string(siaran.StatusOffline), UpdatedAt: m.time("updatedAt"), Media: media{}.String(),
	}
	if m.text("visibility") == string(siaran.VisibilityPublic) { // whatever else it says is no leave to show it
		r.Visibility = string(siaran.VisibilityPublic)
	}
	switch status := siaran.Status(m.text("status")); status {
	case siaran.StatusLive, siaran.StatusInterrupted:
		r.Status, r.Node, r.Broadcast = string(status), m.text("node"), m.text("broadcastId")
		r.StartedAt, r.Viewers, r.Media = m.time("startedAt"), m.number("viewers"), m.media().String()
	}
	return r
}

// readNodeDocument gives a server without its lease.
func readNodeDocument(name string, m fields) siaran.Node {
	return siaran.Node{Name: name, URL: m.text("url"), Viewers: m.group("load").number("viewers")}
}

// newStream are the fields of a stream that nobody has seen yet.
func newStream(at time.Time) fields {
	m := fields{
		"title": "", "description": "", "owner": "", "visibility": string(siaran.VisibilityPublic), "keyGeneration": 0,
		"updatedAt": at,
	}
	for k, v := range offlineFields() {
		m[k] = v
	}
	return m
}

// offlineFields are what only live streams have, taken away.
func offlineFields() fields {
	return fields{
		"status": string(siaran.StatusOffline), "node": "", "broadcastId": "", "startedAt": nil,
		"codecs": map[string]any{}, "width": 0, "height": 0, "layers": []any{}, "viewers": 0,
	}
}

// updates sets each field as a whole, where merging would keep parts of the old.
func (m fields) updates() []firestore.Update {
	list := make([]firestore.Update, 0, len(m))
	for k, v := range m {
		list = append(list, firestore.Update{FieldPath: firestore.FieldPath{k}, Value: v})
	}
	return list
}

// readBroadcastDocument gives a record as it was written; Viewers is not in it.
func readBroadcastDocument(stream siaran.StreamName, id string, m fields) siaran.BroadcastRecord {
	tracks := m.media()
	r := siaran.BroadcastRecord{Node: m.text("node"), BroadcastState: siaran.BroadcastState{
		ID: siaran.BroadcastID(id), Stream: stream, Owner: m.text("owner"), Status: siaran.StatusOffline,
		StartedAt: fromMicros(m.time("startedAt")), EndedAt: fromMicros(m.time("endedAt")), EndReason: siaran.EndReason(m.text("reason")),
		Video: tracks.Video, Audio: tracks.Audio, Layers: tracks.Layers,
		PeakViewers: m.number("peakViewers"), TotalViewers: m.number("viewCount"),
	}}
	switch status := siaran.Status(m.text("status")); status {
	case siaran.StatusLive, siaran.StatusInterrupted:
		if r.EndedAt.IsZero() {
			r.Status = status
		}
	}
	return r
}

func readViewerDocument(stream siaran.StreamName, id string, m fields) siaran.ViewerRecord {
	return siaran.ViewerRecord{
		Stream: stream, Broadcast: siaran.BroadcastID(m.text("broadcastId")), Node: m.text("node"),
		Viewer: siaran.Viewer{ID: siaran.ViewerID(id), JoinedAt: fromMicros(m.time("joinedAt")), Path: m.text("path")},
	}
}
