package egress

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/sdp"
	"siaran/mediaport"
)

// describedFrame is a frame of a recording of Chromium's AV1: the packets that it is sent in, and the numbers of those
// that it needs.
type describedFrame struct {
	packets []*siaran.Packet
	needs   []uint16
}

// described reads a recording of dependency descriptors.
func described(t *testing.T, name string) (list []*describedFrame) {
	t.Helper()
	text, err := os.ReadFile("../internal/codec/testdata/layers/" + name + ".descriptors")
	if err != nil {
		t.Fatal(err)
	}
	var d codec.Descriptors
	var needs dependencies
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var stamp int64
		var marker bool
		var b []byte
		if _, err := fmt.Sscanf(line, "%d %t %x", &stamp, &marker, &b); err != nil {
			t.Fatal(err)
		}
		read := d.Read(b, stamp)
		if read == nil {
			t.Fatalf("line %d is not read", i+1)
		}
		payload := fmt.Appendf(nil, "payload of packet %d", i)
		p := &siaran.Packet{
			Seq: int64(i), Timestamp: stamp, Marker: marker, FrameEnd: marker, Payload: payload, Place: read.Place,
			Keyframe: len(read.Sizes) > 0, Apart: d.Apart(b, payload),
		}
		if p.Apart.Starts {
			f := &describedFrame{}
			for _, back := range needs.of(b) {
				f.needs = append(f.needs, p.Apart.Frame-back)
			}
			list = append(list, f)
		}
		last := list[len(list)-1]
		last.packets = append(last.packets, p)
	}
	return list
}

// dependencies reads what frames need out of descriptors, without the code under test.
type dependencies struct {
	offset, targets int
	templates       [][]uint16
}

func (d *dependencies) of(b []byte) (back []uint16) {
	var bits strings.Builder
	for _, x := range b {
		fmt.Fprintf(&bits, "%08b", x)
	}
	rest := bits.String()
	read := func(n int) int {
		v, _ := strconv.ParseUint(rest[:n], 2, 32)
		rest = rest[n:]
		return int(v)
	}
	read(2)
	id := read(6)
	read(16)
	custom := false
	if len(b) > 3 {
		fresh, masked, indications := read(1), read(1), read(1)
		custom = read(1) == 1
		read(1)
		if fresh == 1 {
			d.offset, d.targets, d.templates = read(6), read(5)+1, nil
			for n := 0; n != 3; n = read(2) {
				d.templates = append(d.templates, nil)
			}
			read(2 * d.targets * len(d.templates))
			for i := range d.templates {
				for read(1) == 1 {
					d.templates[i] = append(d.templates[i], uint16(read(4)+1))
				}
			}
			if custom || indications == 1 {
				panic("what is custom follows the rest of the structure")
			}
		} else {
			read(masked*d.targets + indications*2*d.targets)
		}
		for custom {
			n := read(2)
			if n == 0 {
				return back
			}
			back = append(back, uint16(read(4*n)+1))
		}
	}
	return d.templates[(id+64-d.offset)%64]
}

// A viewer who goes up and down, at any time and to any layers, gets no frame without those that it needs, and the
// marker at the end of what it gets of each picture.
func TestNoFrameGoesOutWithoutWhatItNeeds(t *testing.T) {
	for _, name := range []string{"av1-l3t3", "av1-l3t3-key", "av1-l2t2-key-shift"} {
		frames := described(t, name)
		for seed := range uint64(200) {
			random := rand.New(rand.NewPCG(seed, 1))
			s := &selector{codec: siaran.AV1, given: rung{spatial: 3, temporal: 3}}
			s.restart()
			var packets []*siaran.Packet
			for _, f := range frames {
				packets = append(packets, f.packets...)
			}
			sent, marked, picture := map[uint16]bool{}, true, int64(-1)
			for _, f := range frames {
				if seed > 0 && random.IntN(9) == 0 {
					s.given.spatial, s.given.temporal = uint8(random.IntN(4)), uint8(random.IntN(4))
				}
				for _, p := range f.packets {
					if !s.passes(p) {
						if sent[p.Apart.Frame] {
							t.Fatalf("%s, seed %d: frame %d goes out in part", name, seed, p.Apart.Frame)
						}
						continue
					}
					sent[p.Apart.Frame] = true
					var next *siaran.Packet
					if p.Seq+1 < int64(len(packets)) {
						next = packets[p.Seq+1]
					}
					if p.Timestamp != picture && !marked {
						t.Fatalf("%s, seed %d: no marker before frame %d", name, seed, p.Apart.Frame)
					} else if p.Timestamp == picture && marked {
						t.Fatalf("%s, seed %d: a marker in front of frame %d", name, seed, p.Apart.Frame)
					}
					picture, marked = p.Timestamp, s.ends(p, next)
					for _, need := range f.needs {
						if !sent[need] {
							t.Fatalf("%s, seed %d: frame %d goes out without %d", name, seed, p.Apart.Frame, need)
						}
					}
				}
			}
			if seed == 0 && len(sent) != len(frames) {
				t.Errorf("%s: %d frames of %d go out to those who get everything", name, len(sent), len(frames))
			}
		}
	}
}

// A viewer gets descriptors that continue, whichever frames it gets, and that say what it gets.
func TestDescriptorsGoOut(t *testing.T) {
	room := make([]byte, mediaport.MaxDatagram)
	tr := track{plan: plan{DescriptorID: 13, NumberID: 3}, sel: &selector{codec: siaran.AV1}}
	tr.sel.given = rung{spatial: 1, temporal: 2}
	tr.sel.restart()
	tr.sel.ids.started, tr.sel.ids.last.picture = true, 0xfffe // of the broadcaster before
	var d codec.Descriptors
	last, keys := uint16(0xfffe), 0
	for _, f := range described(t, "av1-l3t3") {
		for _, p := range f.packets {
			if !tr.sel.passes(p) {
				continue
			}
			how := sentPacket{ids: tr.sel.ids.described(p), number: 77, numbered: true}
			how.spatial, how.temporal = tr.sel.gets(p)
			tr.head(room, 96, 1, 2, 3, false)
			tr.extend(room, false, false, tr.apart(p), &how)
			n := headerLength(room)
			n += copy(room[n:], p.Apart.Payload)
			var got rtp.Packet
			if err := got.Unmarshal(room[:n]); err != nil || !bytes.Equal(got.Payload, p.Payload) {
				t.Fatalf("packet %d reads %v, %v", p.Seq, got, err)
			}
			if b := got.GetExtension(3); !bytes.Equal(b, []byte{0, 77}) {
				t.Fatalf("packet %d: its transport-wide number reads %x", p.Seq, b)
			}
			b := got.GetExtension(13)
			read := d.Read(b, p.Timestamp)
			if read == nil || read.Spatial != p.Spatial || read.Temporal != p.Temporal || read.LayerEnd != p.LayerEnd {
				t.Fatalf("packet %d reads %+v, want %+v", p.Seq, read, p.Place)
			}
			a := d.Apart(b, got.Payload)
			if p.Keyframe {
				keys++
				if a.Frame != last+1 {
					t.Errorf("a key frame has number %d after %d", a.Frame, last)
				}
			} else if a.Frame-last > 3 {
				t.Errorf("packet %d: number %d after %d", p.Seq, a.Frame, last)
			}
			last = a.Frame
			for i, target := range a.Targets {
				want := target.Spatial <= 1 && p.Apart.Active>>i&1 == 1
				if a.Active>>i&1 == 1 != want {
					t.Errorf("packet %d: target %+v is active: %v", p.Seq, target, !want)
				}
			}
		}
	}
	if keys < 3 {
		t.Errorf("only %d key frames", keys)
	}
}

// Those who take no descriptors get AV1 with spatial layers whole, and nothing to choose from.
func TestSpatialLayersStayOneWithoutDescriptors(t *testing.T) {
	s := &selector{codec: siaran.AV1, whole: true, given: rung{}}
	s.restart()
	for _, f := range described(t, "av1-l3t3") {
		for _, p := range f.packets {
			if !s.passes(p) || s.ends(p, nil) != p.Marker {
				t.Fatalf("packet %d is left out, or ends a picture", p.Seq)
			}
		}
	}
}

// describedBroadcast has the first frames of a recording with payloads.
func describedBroadcast(t *testing.T) *siaran.Broadcast {
	t.Helper()
	hub := siaran.NewHub(time.Minute, codec.NewFramer)
	t.Cleanup(hub.Close)
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.AV1, ClockRate: 90000}}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../internal/codec/testdata/layers/av1-l3t3-key-described.rtp")
	if err != nil {
		t.Fatal(err)
	}
	var d codec.Descriptors
	for seq := int64(0); len(data) >= 8; seq++ {
		size, length := int(binary.BigEndian.Uint16(data)), int(data[7])
		stamp, marker := int64(binary.BigEndian.Uint32(data[2:])), data[6] != 0
		payload, descriptor := data[8:8+size], data[8+size:8+size+length]
		data = data[8+size+length:]
		said := d.Read(descriptor, stamp)
		said.Apart = d.Apart(descriptor, payload)
		if err := pub.Writers()[0].WriteDescribed(seq, stamp, marker, payload, time.Now(), said); err != nil {
			t.Fatal(err)
		}
	}
	return pub.Broadcast()
}

func TestDescriptorsAreNegotiatedWhereTheyHelp(t *testing.T) {
	b := describedBroadcast(t)
	for name, test := range map[string]struct {
		lines string
		child bool
		want  uint8
	}{
		"taken":                      {"a=extmap-allow-mixed\na=extmap:13 " + sdp.URIDescriptor + "\n", false, 13},
		"taken by a child":           {"a=extmap-allow-mixed\na=extmap:3 " + sdp.URIDescriptor + "\n", true, 3},
		"too short":                  {"a=extmap:13 " + sdp.URIDescriptor + "\n", false, 0},
		"an id beyond one-byte ones": {"a=extmap-allow-mixed\na=extmap:15 " + sdp.URIDescriptor + "\n", false, 0},
		"not offered":                {"", false, 0},
	} {
		text := "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0\n" +
			"m=video 9 UDP/TLS/RTP/SAVPF 45 46\nc=IN IP4 0.0.0.0\na=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuv\n" +
			"a=fingerprint:sha-256 " + strings.Repeat("AB:", 31) + "AB\na=setup:actpass\na=mid:0\na=recvonly\n" +
			"a=rtcp-mux\na=rtpmap:45 AV1/90000\na=rtcp-fb:45 nack\na=rtpmap:46 rtx/90000\na=fmtp:46 apt=45\n" + test.lines
		offer, err := sdp.ParseOffer([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		plans, err := planSections(offer, b, test.child)
		if err != nil {
			t.Fatal(err)
		}
		p := plans[0]
		named := slices.ContainsFunc(p.extensions, func(e sdp.Extension) bool { return e.URI == sdp.URIDescriptor })
		if p.DescriptorID != test.want || named != (test.want != 0) || p.Choice != (test.want != 0 && !test.child) {
			t.Errorf("%s: extension %d, named %v, a choice %v", name, p.DescriptorID, named, p.Choice)
		}
	}
}
