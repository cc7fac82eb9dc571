package ingest

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"siaran"
)

const (
	obsAudio = 111 // payload types in OBS's offer
	obsVideo = 96
)

// warnings are the codes of what a connected broadcaster is warned of.
func (b *bench) warnings() (codes []string) {
	h := Health{Since: b.now.Add(-time.Hour), Connected: true, Layers: b.receiver.health(b.now)}
	h.Silent = b.now.Sub(b.receiver.lastPacket()) > silence
	h.warn()
	for _, w := range h.Warnings {
		codes = append(codes, w.Code)
	}
	return codes
}

// replay takes recorded packets, frame by frame.
func (b *bench) replay(list []packet) {
	b.t.Helper()
	for i, p := range list {
		if i > 0 && p.timestamp != list[i-1].timestamp {
			b.now = b.now.Add(time.Second / 30)
		}
		r := rtpPacket(uint16(p.seq), uint32(p.timestamp), p.marker, p.payload)
		r.SSRC, r.PayloadType = 7, obsVideo
		b.take(r)
	}
}

func TestBFramesOfOBSAreWarnedOf(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-obs-shaped"))
	b.replay(recorded(t, "obs/h264-bframes.rtp"))
	l := b.receiver.health(b.now)[1]
	if l.BackwardFrames != 0 || l.BFrames != 39 { // the timestamps rise
		t.Errorf("%d frames with timestamps that go back, %d B-frames", l.BackwardFrames, l.BFrames)
	}
	if got := b.warnings(); !slices.Contains(got, "b-frames") {
		t.Errorf("warnings %v", got)
	}
	b = newBench(t, readOffer(t, "whip-obs-shaped"))
	b.replay(recorded(t, "frames/h264.rtp"))
	if got := b.warnings(); len(got) > 0 {
		t.Errorf("without any fault: warnings %v", got)
	}
}

func TestWrongMarkersAreWarnedOf(t *testing.T) {
	list := recorded(t, "frames/h264-slices.rtp")
	var all []packet
	for n := range 4 {
		for _, p := range list {
			p.seq, p.timestamp, p.marker = int64(len(all)), p.timestamp+int64(n)*30000, true
			all = append(all, p)
		}
	}
	b := newBench(t, readOffer(t, "whip-obs-shaped"))
	b.replay(all)
	if got := b.warnings(); !slices.Contains(got, "marker") {
		t.Errorf("warnings %v", got)
	}
	inside := 0
	packets := b.packets(siaran.KindVideo, "")
	for i, p := range packets[len(packets)/2 : len(packets)-1] {
		if next := packets[len(packets)/2+i+1]; p.FrameEnd == (next.Timestamp == p.Timestamp) {
			inside++
		}
	}
	if inside > 0 {
		t.Errorf("the hub has %d packets with a wrong marker", inside)
	}
	if len(packets) != len(all)-1 {
		t.Errorf("%d of %d packets are in the hub, all but the newest should be", len(packets), len(all))
	}
	b.receiver.measure(b.now.Add(time.Second))
	if packets = b.packets(siaran.KindVideo, ""); len(packets) != len(all) || !packets[len(all)-1].FrameEnd {
		t.Errorf("the last packet is still held back: %d of %d", len(packets), len(all))
	}
}

func TestLargePacketsAreWarnedOf(t *testing.T) {
	for size, want := range map[int]bool{maxPacket - rtpHeader: false, maxPacket - rtpHeader + 1: true} {
		b := newBench(t, readOffer(t, "whip-obs-shaped"))
		for n := range 20 {
			p := rtpPacket(uint16(n), uint32(n)*3000, true, slices.Concat([]byte{0x41, 0x9a}, make([]byte, size-2)))
			p.SSRC, p.PayloadType = 7, obsVideo
			b.take(p)
		}
		if got := b.warnings(); slices.Contains(got, "large-packets") != want {
			t.Errorf("packets of %d bytes: warnings %v", size+rtpHeader, got)
		}
	}
}

// What was negotiated and does not come is said, and no more than that.
func TestAbsentMediaIsWarnedOf(t *testing.T) {
	key := slices.Concat([]byte{0x65, 0x88}, make([]byte, 50))
	for name, test := range map[string]struct {
		audio, video [2]int // seconds in which it comes, from and to
		want         []string
	}{
		"both":             {[2]int{0, 20}, [2]int{0, 20}, nil},
		"sound alone":      {[2]int{0, 20}, [2]int{}, []string{"no-video"}},
		"picture alone":    {[2]int{}, [2]int{0, 20}, []string{"no-audio"}},
		"picture stops":    {[2]int{0, 20}, [2]int{0, 10}, []string{"no-video"}},
		"sound stops":      {[2]int{0, 10}, [2]int{0, 20}, []string{"no-audio"}},
		"both stop":        {[2]int{0, 10}, [2]int{0, 10}, []string{"silent"}},
		"picture just now": {[2]int{0, 20}, [2]int{19, 20}, nil},
		"sound is new":     {[2]int{16, 20}, [2]int{}, nil},
	} {
		b := newBench(t, readOffer(t, "whip-obs-shaped"))
		start := b.now
		within := func(r [2]int) bool {
			at := int(b.now.Sub(start) / time.Second)
			return at >= r[0] && at < r[1]
		}
		for n := range 20 * 5 {
			b.now = start.Add(time.Duration(n) * time.Second / 5)
			take := func(p *rtp.Packet, ssrc uint32, pt uint8) {
				p.SSRC, p.PayloadType = ssrc, pt
				b.take(p)
			}
			if within(test.audio) {
				take(rtpPacket(uint16(n), uint32(n)*9600, true, []byte{1, 2, 3}), 6, obsAudio)
			}
			if within(test.video) {
				take(rtpPacket(uint16(n), uint32(n)*18000, true, key), 7, obsVideo)
			}
		}
		// There are no parameter sets, and so no key frame.
		got := slices.DeleteFunc(b.warnings(), func(code string) bool { return code == "no-keyframe" })
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: warnings %v, want %v", name, got, test.want)
		}
	}
}

// TestWarningsAreExplained: each warning has words on the pages, a row in the guide, and a place in the API.
func TestWarningsAreExplained(t *testing.T) {
	source, err := os.ReadFile("warnings.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`h\.add\("([^"]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 15 {
		t.Fatalf("only %d warnings found", len(codes))
	}
	for file, form := range map[string]string{
		"../web/static/js/words-en.js": `"warning.%s"`, "../web/static/js/words-id.js": `"warning.%s"`,
		"../docs/clients.md": "`%s`", "../web/openapi.yaml": "`%s`", "../web/jscheck/types/api.d.ts": `"%s"`,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range codes {
			if !strings.Contains(string(text), fmt.Sprintf(form, code[1])) {
				t.Errorf("%s has no %s", file, fmt.Sprintf(form, code[1]))
			}
		}
	}
}
