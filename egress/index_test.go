package egress

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"siaran/mediaport"

	"siaran"
	"siaran/internal/codec"
)

const mediaSSRC = 1

// witness is a sealer that remembers what went out under each index of each SSRC.
type witness struct {
	t    *testing.T
	sent map[packetIndex][]byte
	next map[uint32]int64 // by SSRC
	same int              // times that a packet went out again
	last []byte           // header of the newest packet that is no repair
}

type packetIndex struct {
	ssrc  uint32
	index int64
}

func (w *witness) seal(room, payload []byte, index int64) (int, error) {
	plain := append(bytes.Clone(room[:headerLength(room)]), payload...)
	id := packetIndex{binary.BigEndian.Uint32(plain[8:]), index}
	if binary.BigEndian.Uint16(plain[2:]) != uint16(index) {
		w.t.Fatalf("sequence number %d under index %d", binary.BigEndian.Uint16(plain[2:]), index)
	}
	if before, again := w.sent[id]; again {
		w.same++
		if !bytes.Equal(before, plain) {
			w.t.Fatalf("two packets under index %d of %d: headers %x and %x, %d and %d bytes",
				index, id.ssrc, before[:headerSize], plain[:headerSize], len(before), len(plain))
		}
		return len(plain), nil
	}
	if last, begun := w.next[id.ssrc]; begun && (index < last || index > last+1<<14) || !begun && index >= 1<<15 {
		w.t.Fatalf("index %d after %d: a receiver could not derive the rollover counter", index, last-1)
	}
	if id.ssrc == mediaSSRC {
		w.frameEnds(plain[:headerSize], index > w.next[id.ssrc])
	}
	w.sent[id], w.next[id.ssrc] = plain, index+1
	return len(plain), nil
}

// frameEnds checks that a frame of which the end is missing is followed by a gap: it is not taken for a whole one.
func (w *witness) frameEnds(header []byte, gap bool) {
	if w.last != nil && !bytes.Equal(w.last[4:8], header[4:8]) && w.last[1]&0x80 == 0 && !gap {
		w.t.Fatalf("%x, of a frame whose end was not sent, is followed by %x, of another", w.last, header)
	}
	w.last = header
}

// TestOneIndexOnePacket: AES-GCM gives its key away when two packets go out under one index (RFC 7714 section 5.3).
// That must not happen, whatever a viewer asks for and a broadcaster does.
func TestOneIndexOnePacket(t *testing.T) {
	for _, rtx := range []uint8{0, 97} {
		for _, perFrame := range []int{1, 6} {
			t.Run(fmt.Sprintf("rtx=%d/packets=%d", rtx, perFrame), func(t *testing.T) { oneIndexOnePacket(t, rtx, perFrame) })
		}
	}
}

func oneIndexOnePacket(t *testing.T, rtx uint8, perFrame int) {
	random := rand.New(rand.NewPCG(uint64(rtx), uint64(perFrame)))
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	hub := siaran.NewHub(time.Hour, codec.NewFramer)
	defer hub.Close()
	now := time.Now()
	var pub *siaran.Publication
	type source struct {
		seq, timestamp int64
		silent         int // frames
	}
	rids := []string{"l", "h"}
	sources := map[string]*source{}
	publish := func() {
		video := siaran.TrackSpec{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}, RIDs: rids}
		if pub, err = hub.Publish("s", "o", []siaran.TrackSpec{video}); err != nil {
			t.Fatal(err)
		}
		for _, rid := range rids {
			sources[rid] = &source{seq: random.Int64N(1 << 16), timestamp: random.Int64N(1 << 32)}
		}
	}
	frame := func(rid string, key bool) {
		s := sources[rid]
		s.timestamp += 3000
		if random.IntN(200) == 0 {
			s.timestamp -= 9000 // as if it had B-frames, or a fault
		}
		packets := 1 + random.IntN(perFrame)
		for i := range packets {
			payload := make([]byte, 900+random.IntN(60))
			if payload[1] = 1; i == 0 {
				payload[0] = 0x10
				if key {
					copy(payload, []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, byte(len(rid)), 0x01, 0xf0, 0x00})
				}
			}
			binary.BigEndian.PutUint64(payload[100:], random.Uint64())
			if s.seq++; random.IntN(100) == 0 {
				continue // lost on its way here
			}
			if err := pub.Writer(siaran.KindVideo, rid).Write(s.seq, s.timestamp, i == packets-1, payload, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish()
	for _, rid := range rids {
		frame(rid, true)
	}
	w := newWorker(socket, 0, defaultBurst, new(drops))
	layers := pub.Broadcast().Video().Layers
	for _, layer := range layers {
		w.layers[layer] = follow(layer, w.wake, true)
	}
	l := testLink(socket, "r", "p")
	proveAt(l, netip.MustParseAddrPort("127.0.0.1:9"))
	seen := &witness{t: t, sent: make(map[packetIndex][]byte), next: make(map[uint32]int64)}
	l.media = seen
	v := newViewer(l, []plan{{
		Kind: siaran.KindVideo, ClockRate: 90000, Layers: layers,
		PayloadType: 96, SSRC: mediaSSRC, RTXPayloadType: rtx, RTXSSRC: 2,
	}}, nil)
	track := v.tracks[0]
	if rtx != 0 {
		track.HoldID = 5
	}
	track.shared = w.layers[track.layer]

	for range 3 {
		for range 4000 { // a long group of pictures that the viewer has to catch up with
			now = now.Add(33 * time.Millisecond)
			for _, rid := range rids {
				frame(rid, random.IntN(5000) == 0)
			}
		}
		w.viewers = []*viewer{v}
		for range 6000 {
			now = now.Add(5 * time.Millisecond)
			for _, rid := range rids {
				s := sources[rid]
				if s.silent > 0 {
					s.silent--
				} else if random.IntN(6) == 0 {
					frame(rid, random.IntN(300) == 0)
				}
				if random.IntN(20_000) == 0 {
					s.silent = 500
				}
			}
			switch random.IntN(3000) {
			case 0:
				publish()
				for _, rid := range rids {
					frame(rid, true)
				}
			case 1:
				track.wantKeyframe(w, now)
			case 2:
				loss := 200
				if track.gate.keyframesOnly {
					loss = 0
				}
				for range windows {
					track.gate.decide(loss, 0)
					track.hold.window(loss, 0)
				}
			}
			if random.IntN(20) == 0 {
				track.tick(w, now)
			}
			if random.IntN(3) > 0 {
				w.serve(now)
			}
			track.repair = repairBudget{}
			for range 5 {
				track.resend(w, l, uint16(track.seq.next-random.Int64N(1<<(2+random.IntN(13)))), now)
			}
			w.batch.Flush()
		}
		w.viewers = nil
	}
	if sent := w.stats.repaired.Load(); sent < 1000 || (rtx == 0) != (seen.same > 0) {
		t.Errorf("%d packets were sent again, %d of them under their own index", sent, seen.same)
	}
}
