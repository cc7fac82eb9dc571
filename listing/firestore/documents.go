package firestore

import (
	"net/url"
	"strings"
	"time"

	"siaran/listing/internal/live"

	"cloud.google.com/go/firestore"

	"siaran"
)

// Where the documents are. docs/firestore.md has the whole schema.
func (f *Listing) nodes() *firestore.CollectionRef { return f.client.Collection("nodes") }

func (f *Listing) node(name string) *firestore.DocumentRef { return f.nodes().Doc(documentID(name)) }

func (f *Listing) neighbours() *firestore.CollectionRef { return f.client.Collection("neighbours") }

func (f *Listing) neighbour(name string) *firestore.DocumentRef {
	return f.neighbours().Doc(documentID(name))
}

func (f *Listing) streams() *firestore.CollectionRef { return f.client.Collection("streams") }

func (f *Listing) stream(name siaran.StreamName) *firestore.DocumentRef {
	return f.streams().Doc(documentID(string(name)))
}

func (f *Listing) viewer(stream siaran.StreamName, id siaran.ViewerID) *firestore.DocumentRef {
	return f.stream(stream).Collection("viewers").Doc(documentID(string(id)))
}

func (f *Listing) broadcast(stream siaran.StreamName, id siaran.BroadcastID) *firestore.DocumentRef {
	return f.stream(stream).Collection("broadcasts").Doc(documentID(string(id)))
}

// documentID turns any name into an id that Firestore accepts: one without slashes that is not ".", ".." or enclosed in
// double underscores.
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

// nameOf is the inverse of documentID.
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

// fields is a document's content. Reading from it never fails, whoever wrote it: what is missing or has another type is
// the zero value.
type fields map[string]any

func (m fields) text(key string) string {
	s, _ := m[key].(string)
	return s
}

// number is never negative.
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

// share is from 0 to 1.
func (m fields) share(key string) float64 {
	switch n := m[key].(type) {
	case int64:
		return float64(max(0, min(n, 1)))
	case float64:
		if n > 0 { // and a number
			return min(n, 1)
		}
	}
	return 0
}

// time is in microseconds since 1970, and 0 for none.
func (m fields) time(key string) int64 {
	t, ok := m[key].(time.Time)
	if !ok || t.Unix() <= 0 {
		return 0
	}
	return live.Micros(t)
}

func (m fields) group(key string) fields {
	g, _ := m[key].(map[string]any)
	return g
}

// tracks are what is sent in a broadcast.
type tracks struct {
	Video  *siaran.VideoState
	Audio  *siaran.AudioState
	Layers []siaran.LayerState
}

const maxLayers = 16 // read from one document

func (m fields) tracks() tracks {
	var out tracks
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
			out.Layers = append(out.Layers, siaran.LayerState{
				RID: layer.text("rid"), Width: layer.number("width"), Height: layer.number("height"),
			})
		}
	}
	return out
}

// put writes the tracks into a document's fields.
func (m tracks) put(into fields) {
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

// readStreamDocument returns a row without a lease, and with the rights that older servers have put there.
func readStreamDocument(name string, m fields) live.Row {
	r := live.Row{Stream: siaran.Stream{
		Name: siaran.StreamName(name), Title: m.text("title"), Description: m.text("description"),
		Visibility: siaran.VisibilityPrivate,
		MaxViewers: m.number("maxViewers"), EmbedSites: siaran.EmbedSites(m.text("embedSites")),
		Status: siaran.StatusOffline, UpdatedAt: live.FromMicros(m.time("updatedAt")),
	}}
	if m.rightsVersion() == "" {
		m.rights().putInto(&r)
	}
	if m.text("visibility") == string(siaran.VisibilityPublic) { // anything else is no permission to show it
		r.Visibility = siaran.VisibilityPublic
	}
	switch status := siaran.Status(m.text("status")); status {
	case siaran.StatusLive, siaran.StatusInterrupted:
		t := m.tracks()
		r.Status, r.Node, r.BroadcastID = status, m.text("node"), siaran.BroadcastID(m.text("broadcastId"))
		r.StartedAt, r.Viewers = live.FromMicros(m.time("startedAt")), m.number("viewers")
		r.Video, r.Audio, r.Layers = t.Video, t.Audio, t.Layers
		r.Publisher, r.Moves = m.text("publisher"), m.number("moves")
	default:
		r.Removed, _ = m["removed"].(bool)
	}
	return r
}

// readNodeDocument returns a server without its lease.
func readNodeDocument(name string, m fields) siaran.Node {
	n := siaran.Node{
		Name: name, URL: m.text("url"), Viewers: m.group("load").number("viewers"),
		Region: m.text("region"), Capacity: m.number("capacity"), Use: m.group("load").share("use"),
	}
	n.Draining, _ = m["draining"].(bool)
	return n
}

// putNode writes what a server says of itself into a document's fields.
func putNode(n siaran.Node, into fields) {
	into["url"], into["region"], into["capacity"], into["draining"] = n.URL, n.Region, n.Capacity, n.Draining
	into["load"] = map[string]any{"viewers": n.Viewers, "use": n.Use}
}

// newStream returns the fields of a stream that is new.
func newStream(at time.Time) fields {
	m := fields{
		"title": "", "description": "", "visibility": string(siaran.VisibilityPublic), "updatedAt": at,
		"maxViewers": 0, "embedSites": "",
	}
	for k, v := range offlineFields() {
		m[k] = v
	}
	return m
}

// offlineFields clear what only live streams have.
func offlineFields() fields {
	return fields{
		"status": string(siaran.StatusOffline), "node": "", "broadcastId": "", "startedAt": nil,
		"codecs": map[string]any{}, "width": 0, "height": 0, "layers": []any{}, "viewers": 0, "publisher": "", "moves": 0,
	}
}

// updates replaces each field as a whole; merging would keep parts of the old value.
func (m fields) updates() []firestore.Update {
	list := make([]firestore.Update, 0, len(m))
	for k, v := range m {
		list = append(list, firestore.Update{FieldPath: firestore.FieldPath{k}, Value: v})
	}
	return list
}

// readBroadcastDocument returns a record as it was written. Viewers is not in it.
func readBroadcastDocument(stream siaran.StreamName, id string, m fields) siaran.BroadcastRecord {
	t := m.tracks()
	r := siaran.BroadcastRecord{Node: m.text("node"), BroadcastState: siaran.BroadcastState{
		ID: siaran.BroadcastID(id), Stream: stream, Status: siaran.StatusOffline,
		StartedAt: live.FromMicros(m.time("startedAt")), EndedAt: live.FromMicros(m.time("endedAt")),
		EndReason: siaran.EndReason(m.text("reason")),
		Video:     t.Video, Audio: t.Audio, Layers: t.Layers,
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
		Viewer: siaran.Viewer{ID: siaran.ViewerID(id), JoinedAt: live.FromMicros(m.time("joinedAt")), Path: m.text("path")},
	}
}
