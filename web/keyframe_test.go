package web

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"siaran"
	"siaran/internal/codec"
)

// codecsOfRecordings are the WebCodecs strings of the recordings.
var codecsOfRecordings = map[string]struct {
	codec siaran.CodecName
	want  string
}{
	"h264":        {siaran.H264, "avc1.42c00b"},
	"h264-stap":   {siaran.H264, "avc1.64000b"},
	"h264-slices": {siaran.H264, "avc1.64000b"},
	"h265":        {siaran.H265, "hev1.1.6.L60.90"},
	"vp8":         {siaran.VP8, "vp8"},
	"vp9":         {siaran.VP9, "vp09.00.10.08"},
	"av1-svt":     {siaran.AV1, "av01.0.00M.08"},
	"av1-aom":     {siaran.AV1, "av01.0.00M.08"},
}

func TestKeyframe(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, tt := range codecsOfRecordings {
		t.Run(name, func(t *testing.T) {
			path := "/api/streams/" + name + "/keyframe"
			wantProblem(t, s.do(call{method: "GET", path: path}), 404)
			packets := recorded(t, name)
			half := 0 // the packets before the second key frame
			for frames := 0; frames < 5; half++ {
				if packets[half].marker {
					frames++
				}
			}
			pub, w := s.broadcast(name, tt.codec, packets[:half])
			first := s.do(call{method: "GET", path: path})
			if first.StatusCode != 200 || first.Header.Get("X-Siaran-Codec") != tt.want || len(first.body) < 500 {
				t.Fatalf("%d %v, %d bytes", first.StatusCode, first.Header, len(first.body))
			}
			tag := first.Header.Get("ETag")
			if r := s.do(call{method: "GET", path: path}.with("If-None-Match", tag)); r.StatusCode != 304 || r.body != "" {
				t.Errorf("%d, %d bytes", r.StatusCode, len(r.body))
			}
			// While the next key frame is coming in, the one before is shown.
			s.must(w.Write(int64(half), packets[half].timestamp, packets[half].marker, packets[half].payload, time.Now()))
			if r := s.do(call{method: "GET", path: path}); r.StatusCode != 200 || r.Header.Get("ETag") != tag &&
				!packets[half].marker {
				t.Errorf("%d, %s", r.StatusCode, r.Header.Get("ETag"))
			}
			for i, p := range packets[half+1:] {
				s.must(w.Write(int64(half+1+i), p.timestamp, p.marker, p.payload, time.Now()))
			}
			second := s.do(call{method: "GET", path: path}.with("If-None-Match", tag))
			if second.StatusCode != 200 || second.Header.Get("ETag") == tag || second.body == first.body {
				t.Errorf("%d %v: not the second key frame", second.StatusCode, second.Header)
			}
			pub.Interrupt()
			if r := s.do(call{method: "HEAD", path: path}); r.StatusCode != 200 || r.body != "" ||
				r.ContentLength != int64(len(second.body)) {
				t.Errorf("HEAD: %d, %d bytes", r.StatusCode, r.ContentLength)
			}
			pub.Stop()
			wantProblem(t, s.do(call{method: "GET", path: path}), 404)
		})
	}
}

func TestKeyframeOfVP8IsTheFrame(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.broadcast("cats", siaran.VP8, recorded(t, "vp8"))
	body := []byte(s.do(call{method: "GET", path: "/api/streams/cats/keyframe"}).body)
	if len(body) < 10 || body[0]&1 != 0 || !bytes.Equal(body[3:6], []byte{0x9d, 0x01, 0x2a}) ||
		body[6] != 320%256 || body[7] != 1 {
		t.Errorf("no VP8 key frame: % x", body[:min(len(body), 12)])
	}
}

// TestKeyframeThatIsComing: the request waits for it, for a while.
func TestKeyframeThatIsComing(t *testing.T) {
	t.Parallel()
	packets := recorded(t, "h264")
	if packets[0].marker {
		t.Fatal("the recording begins with a frame of one packet")
	}
	synctest.Test(t, func(t *testing.T) {
		hub := siaran.NewHub(time.Second, codec.NewFramer)
		defer hub.Close()
		s := &site{t: t, hub: hub, server: &Server{cfg: Config{Hub: hub}, pictures: newPictures()}}
		_, w := s.broadcast("cats", siaran.H264, packets[:1])
		ctx, cancel := context.WithTimeout(t.Context(), pictureWait)
		defer cancel()
		got := make(chan *picture, 1)
		go func() { got <- s.server.newestPicture(ctx, "cats") }()
		for i, p := range packets[1:] {
			synctest.Wait() // it waits for the next packet
			s.must(w.Write(int64(i+1), p.timestamp, p.marker, p.payload, time.Now()))
		}
		if p := <-got; p == nil || p.codec != "avc1.42c00b" {
			t.Errorf("got %+v", p)
		}
	})
}

func TestKeyframeWithoutVideo(t *testing.T) {
	t.Parallel()
	s := start(t)
	pub, err := s.hub.Publish("radio", "test", []siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.Opus,
		ClockRate: 48000, Channels: 2}}})
	s.must(err)
	s.must(pub.Writer(siaran.KindAudio, "").Write(1, 1, true, []byte{1, 2, 3}, time.Now()))
	wantProblem(t, s.do(call{method: "GET", path: "/api/streams/radio/keyframe"}), 404)
}

func TestKeyframeOfTheSmallestLayer(t *testing.T) {
	t.Parallel()
	s := start(t)
	pub, err := s.hub.Publish("cats", "test", []siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.VP8,
		ClockRate: 90000}, RIDs: []string{"h", "l"}}})
	s.must(err)
	frame := func(rid string, width byte) {
		s.must(pub.Writer(siaran.KindVideo, rid).Write(1, 1, true,
			[]byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, width, 0, width, 0, 1, 2, 3}, time.Now()))
	}
	frame("h", 64)
	if r := s.do(call{method: "GET", path: "/api/streams/cats/keyframe"}); r.body[6] != 64 {
		t.Errorf("width %d", r.body[6])
	}
	frame("l", 32)
	if r := s.do(call{method: "GET", path: "/api/streams/cats/keyframe"}); r.body[6] != 32 {
		t.Errorf("width %d", r.body[6])
	}
}

func TestPicturesAreBounded(t *testing.T) {
	t.Parallel()
	p := newPictures()
	big := &picture{body: make([]byte, maxPicture)}
	for i := range 2 * maxPictures / maxPicture {
		name := siaran.StreamName(strconv.Itoa(i))
		p.put(name, big)
		p.put(name, big)
	}
	want := maxPictures / maxPicture
	if len(p.kept) != want || len(p.recent) != want || p.bytes != maxPictures || p.get("0") != nil {
		t.Errorf("%d, %d, %d bytes", len(p.kept), len(p.recent), p.bytes)
	}
	for i := range 2 * want {
		p.forget(siaran.StreamName(strconv.Itoa(i)))
	}
	if len(p.kept) != 0 || len(p.recent) != 0 || p.bytes != 0 {
		t.Errorf("%d, %d, %d bytes", len(p.kept), len(p.recent), p.bytes)
	}
}

// FuzzPicture feeds joined frames and their naming with what a broadcaster could send.
func FuzzPicture(f *testing.F) {
	names := []siaran.CodecName{siaran.H264, siaran.H265, siaran.VP8, siaran.VP9, siaran.AV1}
	for name, tt := range codecsOfRecordings {
		for i, p := range recorded(f, name)[:3] {
			for n, codec := range names {
				if codec == tt.codec {
					f.Add(byte(n), p.payload, []byte{byte(i)})
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, n byte, one, two []byte) {
		codec := names[int(n)%len(names)]
		d := newDepacketizer(codec)
		var frame []byte
		for _, payload := range [][]byte{one, two} {
			if part, err := d.Unmarshal(payload); err == nil {
				frame = append(frame, part...)
			}
		}
		for _, b := range [][]byte{frame, one} {
			for _, r := range codecString(codec, b) {
				if r < ' ' || r > '~' {
					t.Errorf("%q in a header", r)
				}
			}
		}
	})
}

// TestKeptPictureCostsTheBroadcasterNothing: a request follows the layer, under a lock that its writer needs, only when
// there is something to wait for. Following makes a list and a channel.
func TestKeptPictureCostsTheBroadcasterNothing(t *testing.T) {
	s := start(t)
	s.broadcast("cats", siaran.VP8, recorded(t, "vp8"))
	first := s.server.newestPicture(t.Context(), "cats")
	if first == nil {
		t.Fatal("no picture")
	}
	if n := testing.AllocsPerRun(1000, func() { // so many that what goes on beside it does not count
		if s.server.newestPicture(t.Context(), "cats") != first {
			t.Error("another picture")
		}
	}); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func TestPicturesBySource(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Limits.Picture = Rate{0.001, 2} })
	s.broadcast("cats", siaran.VP8, recorded(t, "vp8"))
	get := call{method: "GET", path: "/api/streams/cats/keyframe"}
	for range 2 {
		if r := s.do(get); r.StatusCode != 200 {
			t.Errorf("%d", r.StatusCode)
		}
	}
	wantProblem(t, s.do(get), 429)
}

// The picture is the whole frame, also of encoders that set the marker on each packet, or never.
func TestKeyframeWithWrongMarkers(t *testing.T) {
	t.Parallel()
	s := start(t)
	packets := recorded(t, "h264-slices")
	s.broadcast("right", siaran.H264, packets)
	want := s.do(call{method: "GET", path: "/api/streams/right/keyframe"}).body
	for name, marker := range map[string]bool{"always": true, "never": false} {
		marked := slices.Clone(packets)
		for i := range marked {
			marked[i].marker = marker
		}
		s.broadcast(name, siaran.H264, marked)
		if r := s.do(call{method: "GET", path: "/api/streams/" + name + "/keyframe"}); r.StatusCode != 200 || r.body != want {
			t.Errorf("%s: %d, %d bytes, not %d", name, r.StatusCode, len(r.body), len(want))
		}
	}
}

// SVT-AV1 in OBS: its sequence header has fields that few others have, and its frames are joined.
func TestKeyframeOfOBS(t *testing.T) {
	t.Parallel()
	s := start(t)
	packets := recorded(t, "../obs/av1-svt")
	for i := 1; i < len(packets); i++ {
		if packets[i].timestamp == packets[i-1].timestamp {
			packets[i-1].payload, packets[i].payload = codec.JoinAV1(packets[i-1].payload, packets[i].payload)
		}
	}
	s.broadcast("obs", siaran.AV1, packets)
	r := s.do(call{method: "GET", path: "/api/streams/obs/keyframe"})
	if r.StatusCode != 200 || r.Header.Get("X-Siaran-Codec") != "av01.0.01M.08" || len(r.body) < 10000 {
		t.Errorf("%d, %s, %d bytes", r.StatusCode, r.Header.Get("X-Siaran-Codec"), len(r.body))
	}
}
