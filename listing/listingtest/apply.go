package listingtest

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"siaran"
)

var applyTests = map[string]func(*testing.T, *bench){
	"live":                             testLive,
	"audio only":                       testAudioOnly,
	"the same twice":                   testTwice,
	"ended":                            testEnded,
	"ended before it was seen":         testEndedUnseen,
	"ended broadcasts stay so":         testEndedFinal,
	"an older one ends":                testOlderEnds,
	"an older one of another node":     testOlderElsewhere,
	"history":                          testHistory,
	"viewers come and go":              testPresence,
	"title and visibility are kept":    testKept,
	"several broadcasts in one update": testSeveral,
	"viewers stay for the next":        testViewersStay,
}

func testLive(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	watching := b.viewers(3)
	b.apply(t, node, live(state, watching...))
	got := b.stream(t, state.Stream)
	want := siaran.Stream{
		Name: state.Stream, Visibility: siaran.VisibilityPublic, Status: siaran.StatusLive,
		Node: node, BroadcastID: state.ID, Video: state.Video, Audio: state.Audio, Layers: state.Layers, Viewers: 3,
	}
	if !sameTime(got.StartedAt, state.StartedAt) || !sameTime(got.UpdatedAt, b.clock.Now()) {
		t.Errorf("started %v, updated %v, want both %v", got.StartedAt, got.UpdatedAt, b.clock.Now())
	}
	got.StartedAt, got.UpdatedAt = time.Time{}, time.Time{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	b.wantViewers(t, state.Stream, watching)

	state.Status, state.Viewers = siaran.StatusInterrupted, 3
	state.Video = &siaran.VideoState{Codec: siaran.H264, Width: 640, Height: 480}
	b.apply(t, node, live(state))
	if got := b.stream(t, state.Stream); got.Status != siaran.StatusInterrupted || got.Video.Width != 640 {
		t.Errorf("got %+v, want interrupted, 640 pixels wide", got)
	}
	b.wantViewers(t, state.Stream, watching)
	h := b.history(t, state.Stream)
	if len(h) != 1 || h[0].ID != state.ID || h[0].Node != node || h[0].Status != siaran.StatusInterrupted ||
		!h[0].EndedAt.IsZero() {
		t.Errorf("history %+v, want one that lasts", h)
	}
}

func testAudioOnly(t *testing.T, b *bench) {
	state := b.broadcast()
	state.Video, state.Layers = nil, nil
	b.apply(t, b.node(t), live(state))
	if got := b.stream(t, state.Stream); got.Video != nil || len(got.Layers) != 0 || got.Audio == nil {
		t.Errorf("got %+v, want audio alone", got)
	}
}

func testTwice(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	watching := b.viewers(3)
	for range 2 {
		b.apply(t, node, live(state, watching...))
	}
	b.wantViewers(t, state.Stream, watching)
	left := siaran.Change{State: state, Left: []siaran.ViewerID{watching[1].ID}}
	left.State.Viewers = 2
	for range 2 {
		b.apply(t, node, left)
	}
	b.wantViewers(t, state.Stream, []siaran.Viewer{watching[0], watching[2]})
	for range 2 {
		b.apply(t, node, b.ended(state, siaran.EndStopped))
	}
	b.wantStatus(t, state.Stream, siaran.StatusOffline)
	if h := b.history(t, state.Stream); len(h) != 1 {
		t.Errorf("history %+v, want one broadcast", h)
	}
}

func testEnded(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	b.apply(t, node, live(state, b.viewers(5)...))
	b.clock.Advance(time.Second)
	state.PeakViewers, state.TotalViewers = 5, 7
	b.apply(t, node, b.ended(state, siaran.EndVanished)) // names none of those who watched
	got := b.stream(t, state.Stream)
	want := siaran.Stream{
		Name:       state.Stream,
		Visibility: siaran.VisibilityPublic,
		Status:     siaran.StatusOffline,
		UpdatedAt:  got.UpdatedAt,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	b.wantViewers(t, state.Stream, nil)
	h := b.history(t, state.Stream)
	if len(h) != 1 {
		t.Fatalf("history %+v, want one broadcast", h)
	}
	r := h[0]
	if !sameTime(r.StartedAt, state.StartedAt) || !sameTime(r.EndedAt, b.clock.Now()) {
		t.Errorf("lasted from %v to %v", r.StartedAt, r.EndedAt)
	}
	r.StartedAt, r.EndedAt = time.Time{}, time.Time{}
	if r.Owner == "" { // it is not kept
		r.Owner = state.Owner
	}
	wantRecord := siaran.BroadcastRecord{Node: node, BroadcastState: siaran.BroadcastState{
		ID: state.ID, Stream: state.Stream, Owner: state.Owner, Status: siaran.StatusOffline, EndReason: siaran.EndVanished,
		Video: state.Video, Audio: state.Audio, Layers: state.Layers, PeakViewers: 5, TotalViewers: 7,
	}}
	if !reflect.DeepEqual(r, wantRecord) {
		t.Errorf("got  %+v\nwant %+v", r, wantRecord)
	}
}

func testEndedUnseen(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	b.apply(t, node, b.ended(state, siaran.EndStopped))
	b.wantStatus(t, state.Stream, siaran.StatusOffline)
	if h := b.history(t, state.Stream); len(h) != 1 || h[0].EndReason != siaran.EndStopped {
		t.Errorf("history %+v, want one that was stopped", h)
	}
}

func testEndedFinal(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	b.apply(t, node, live(state))
	b.apply(t, node, b.ended(state, siaran.EndStopped))
	b.apply(t, node, live(state, b.viewers(1)...)) // late
	b.wantStatus(t, state.Stream, siaran.StatusOffline)
	b.wantViewers(t, state.Stream, nil)
	if h := b.history(t, state.Stream); len(h) != 1 || h[0].EndReason != siaran.EndStopped || h[0].EndedAt.IsZero() {
		t.Errorf("history %+v, want one that was stopped", h)
	}
}

func testOlderEnds(t *testing.T, b *bench) {
	node := b.node(t)
	older := b.broadcast()
	b.apply(t, node, live(older, b.viewers(2)...))
	b.clock.Advance(time.Second)
	newer := b.broadcastOf(older.Stream)
	watching := b.viewers(1)
	b.apply(t, node, live(newer, watching...))
	b.apply(t, node, b.ended(older, siaran.EndReplaced))
	if s := b.stream(t, newer.Stream); s.BroadcastID != newer.ID || s.Status != siaran.StatusLive {
		t.Errorf("got %+v, want the newer broadcast live", s)
	}
	b.wantViewers(t, newer.Stream, watching)
	if h := b.history(t, newer.Stream); len(h) != 2 || h[0].ID != newer.ID || h[1].EndReason != siaran.EndReplaced {
		t.Errorf("history %+v", h)
	}
}

func testOlderElsewhere(t *testing.T, b *bench) {
	one, two := b.node(t), b.node(t)
	older := b.broadcast()
	b.apply(t, one, live(older))
	b.clock.Advance(time.Second)
	newer := b.broadcastOf(older.Stream)
	b.apply(t, two, live(newer))
	older.Viewers = 9
	b.apply(t, one, live(older))
	if s := b.stream(t, newer.Stream); s.Node != two || s.BroadcastID != newer.ID || s.Viewers != 0 {
		t.Errorf("got %+v, want what the newer broadcast's node says", s)
	}
}

func testHistory(t *testing.T, b *bench) {
	node := b.node(t)
	name := streamName()
	var want []siaran.BroadcastID
	for range 5 {
		state := b.broadcastOf(name)
		want = append(want, state.ID)
		b.apply(t, node, live(state))
		b.clock.Advance(time.Second)
		b.apply(t, node, b.ended(state, siaran.EndStopped))
	}
	slices.Reverse(want)
	b.apply(t, node, b.ended(b.broadcast(), siaran.EndStopped)) // another stream's
	for _, limit := range []int{0, 1, 3, 5, math.MaxInt32} {
		h, err := b.other.Broadcasts(t.Context(), name, limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []siaran.BroadcastID
		for _, r := range h {
			got = append(got, r.ID)
		}
		expect := want
		if limit > 0 && limit < len(want) {
			expect = want[:limit]
		}
		if !slices.Equal(got, expect) {
			t.Errorf("limit %d: got %v, want %v", limit, got, expect)
		}
	}
}

func testPresence(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	all := b.viewers(300)
	all[7].Path = "relayed"
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(all), func(i, j int) { all[i].ID, all[j].ID = all[j].ID, all[i].ID })
	var watching []siaran.Viewer
	for chunk := range slices.Chunk(all, 50) {
		var left []siaran.ViewerID
		watching = slices.DeleteFunc(watching, func(v siaran.Viewer) bool {
			if random.IntN(3) > 0 {
				return false
			}
			left = append(left, v.ID)
			return true
		})
		watching = append(watching, chunk...)
		state.Viewers = len(watching)
		b.apply(t, node, siaran.Change{State: state, Joined: chunk, Left: left})
		b.wantViewers(t, state.Stream, watching)
		if s := b.stream(t, state.Stream); s.Viewers != len(watching) {
			t.Errorf("the stream counts %d viewers, want %d", s.Viewers, len(watching))
		}
	}
}

func testKept(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	title, private, owner := "title", siaran.VisibilityPrivate, "someone"
	most, sites := 7, siaran.EmbedSites("https://example.org")
	edit := siaran.StreamEdit{
		Title: &title, Description: &title, Visibility: &private, Owner: &owner, MaxViewers: &most, EmbedSites: &sites,
	}
	if _, err := b.l.Edit(t.Context(), state.Stream, edit); err != nil {
		t.Fatal(err)
	}
	if _, err := b.l.RotateKeys(t.Context(), state.Stream); err != nil {
		t.Fatal(err)
	}
	b.apply(t, node, live(state))
	for _, status := range []siaran.Status{siaran.StatusLive, siaran.StatusOffline} {
		s := b.stream(t, state.Stream)
		if s.Status != status || s.Title != title || s.Description != title || s.Visibility != private || s.Owner != owner ||
			s.KeyGeneration != 2 || s.MaxViewers != most || s.EmbedSites != sites {
			t.Errorf("got %+v", s)
		}
		b.apply(t, node, b.ended(state, siaran.EndStopped))
	}
}

func testSeveral(t *testing.T, b *bench) {
	node := b.node(t)
	gone, replaced, other := b.broadcast(), b.broadcast(), b.broadcast()
	b.clock.Advance(time.Second)
	next := b.broadcastOf(replaced.Stream)
	b.apply(t, node, live(gone), live(replaced), live(other, b.viewers(1)...))
	b.apply(t, node, b.ended(gone, siaran.EndStopped), b.ended(replaced, siaran.EndReplaced), live(next), live(other))
	b.wantStatus(t, gone.Stream, siaran.StatusOffline)
	b.wantStatus(t, other.Stream, siaran.StatusLive)
	if s := b.stream(t, next.Stream); s.BroadcastID != next.ID || s.Status != siaran.StatusLive {
		t.Errorf("got %+v, want the newer broadcast live", s)
	}
}

// testViewersStay ends a broadcast whose viewers go on to the stream's next one under the same ids.
func testViewersStay(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	watching := b.viewers(3)
	b.apply(t, node, live(state, watching...))
	next := b.broadcast()
	next.Stream = state.Stream
	end := b.ended(state, siaran.EndStopped)
	for _, v := range watching {
		end.Left = append(end.Left, v.ID)
	}
	b.apply(t, node, end, live(next, watching...)) // in one update
	b.wantViewers(t, next.Stream, watching)
	if got := b.stream(t, next.Stream); got.BroadcastID != next.ID || got.Viewers != 3 {
		t.Errorf("got %+v, want the next broadcast with three viewers", got)
	}
	end = b.ended(next, siaran.EndStopped) // in updates of their own
	b.apply(t, node, end)
	b.wantViewers(t, next.Stream, nil)
	third := b.broadcast()
	third.Stream = state.Stream
	b.apply(t, node, live(third, watching...))
	b.wantViewers(t, next.Stream, watching)
}
