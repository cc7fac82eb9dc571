package codec

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"siaran"
)

// layered is a packet of testdata/layers.
type layered struct {
	recorded
	descriptor []byte
}

func readLayered(t testing.TB, name string) (packets []layered) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "layers", name+".rtp"))
	if err != nil {
		t.Fatal(err)
	}
	for len(data) >= 8 {
		size, described := int(binary.BigEndian.Uint16(data)), int(data[7])
		p := layered{recorded: recorded{int64(binary.BigEndian.Uint32(data[2:])), data[6] != 0, data[8 : 8+size]}}
		p.descriptor = data[8+size : 8+size+described]
		packets = append(packets, p)
		data = data[8+size+described:]
	}
	return packets
}

var layerings = []struct {
	file  string
	codec siaran.CodecName
	// Of the frames in L1T3 or L3T3_KEY: the number of temporal layers that can be told apart, and of spatial ones.
	temporals, spatials int
	described           bool // by a descriptor
}{
	{"vp8-l1t3", siaran.VP8, 3, 1, false},
	{"vp8-l1t3-described", siaran.VP8, 3, 1, true},
	{"h264-l1t3", siaran.H264, 2, 1, false}, // only that nothing needs the highest layer
	{"h264-l1t3-described", siaran.H264, 3, 1, true},
	{"vp9-l1t3", siaran.VP9, 3, 1, false},
	{"vp9-l3t3-key", siaran.VP9, 3, 2, false},
	{"vp9-l3t3-key-described", siaran.VP9, 3, 2, false},
	{"vp9-l3t3-key-described", siaran.VP9, 3, 2, true},
	{"av1-l1t3", siaran.AV1, 3, 1, false},
	{"av1-l1t3-described", siaran.AV1, 3, 1, true},
	{"av1-l3t3-key-described", siaran.AV1, 3, 2, true},
}

// places are those that a layer's packets get.
func places(t *testing.T, codec siaran.CodecName, packets []layered, described bool) (list []siaran.Place) {
	f, d := NewFramer(codec), Descriptors{}
	for i, p := range packets {
		frame := f.Next(p.payload, p.timestamp, p.marker)
		if described {
			said := d.Read(p.descriptor, p.timestamp)
			if said == nil {
				t.Fatalf("packet %d: descriptor %x is not read", i, p.descriptor)
			}
			frame.Place = said.Place
		}
		list = append(list, frame.Place)
	}
	return list
}

func TestLayersOfChromium(t *testing.T) {
	for _, r := range layerings {
		name := r.file
		if strings.HasSuffix(name, "-described") && !r.described {
			name += ", by the payload"
		}
		t.Run(name, func(t *testing.T) {
			packets := readLayered(t, r.file)
			list := places(t, r.codec, packets, r.described)
			pictures := 0
			for i, p := range packets {
				if i > 0 && p.timestamp == packets[i-1].timestamp {
					continue
				}
				// The pattern is 0 2 1 2, and the base layer is all that its own frames need.
				want := []uint8{0, 2, 1, 2}[pictures%4]
				if r.temporals == 2 {
					want /= 2
				}
				for ; i < len(packets) && packets[i].timestamp == p.timestamp; i++ {
					checkPlace(t, i, list[i], want, pictures == 0)
				}
				pictures++
			}
			last := siaran.Place{}
			for i, p := range list {
				last.Spatial = max(last.Spatial, p.Spatial)
				if packets[i].marker && !p.LayerEnd {
					t.Errorf("packet %d: the picture ends, but not its last frame", i)
				}
			}
			if int(last.Spatial) != r.spatials-1 {
				t.Errorf("%d spatial layers, want %d", last.Spatial+1, r.spatials)
			}
		})
	}
}

func checkPlace(t *testing.T, i int, got siaran.Place, temporal uint8, first bool) {
	t.Helper()
	if got.Temporal != temporal {
		t.Errorf("packet %d: temporal layer %d, want %d", i, got.Temporal, temporal)
	}
	if got.LayerStart != first {
		t.Errorf("packet %d: it begins its layer: %v, want %v", i, got.LayerStart, first)
	}
	if got.Temporal == 0 && got.SwitchUp {
		t.Errorf("packet %d: a switch up to the base layer", i)
	}
}

// In these patterns the second and third pictures begin the temporal layers above the base, and so do those of each
// later group that the encoder says so of.
func TestSwitchingPointsOfChromium(t *testing.T) {
	for _, r := range layerings {
		if r.temporals < 3 || r.codec == siaran.AV1 && !r.described {
			continue
		}
		packets := readLayered(t, r.file)
		ups := make(map[uint8]int)
		for _, p := range places(t, r.codec, packets, r.described) {
			if p.SwitchUp {
				ups[p.Temporal]++
			}
		}
		if ups[1] < 2 || ups[2] < 2 {
			t.Errorf("%s: switching points by temporal layer: %v", r.file, ups)
		}
	}
}

// Frames that are dropped as a viewer's layers ask are needed by none that is sent, as the descriptors tell.
func TestWhatIsKeptNeedsNothingDropped(t *testing.T) {
	for _, file := range []string{"h264-l1t3-described", "vp9-l3t3-key-described", "av1-l1t3-described",
		"av1-l3t3-key-described"} {
		packets := readLayered(t, file)
		for spatial := range uint8(max(1, len(sizesOf(packets)))) {
			for temporal := range uint8(3) {
				checkKept(t, file, packets, spatial, temporal)
			}
		}
	}
}

// sizesOf are those of the spatial layers.
func sizesOf(packets []layered) []siaran.Size {
	var d Descriptors
	return d.Read(packets[0].descriptor, 0).Sizes
}

func checkKept(t *testing.T, file string, packets []layered, spatial, temporal uint8) {
	t.Helper()
	var d Descriptors
	sent := make(map[int]bool)
	open := uint8(0) // the highest temporal layer that the viewer takes; more come at switching points
	for i, p := range packets {
		place := d.Read(p.descriptor, p.timestamp).Place
		if place.Spatial > spatial {
			continue
		}
		if place.SwitchUp && place.Temporal == open+1 && place.Temporal <= temporal {
			open = place.Temporal
		}
		if place.Temporal > open {
			continue
		}
		number := int(binary.BigEndian.Uint16(p.descriptor[1:]))
		sent[number] = true
		for _, back := range differences(d.structure, p.descriptor) {
			if !sent[number-back] {
				t.Errorf("%s, up to S%d T%d: packet %d needs frame %d, which is not sent", file, spatial, temporal, i,
					number-back)
			}
		}
	}
	if len(sent) < 3 {
		t.Errorf("%s, up to S%d T%d: only %d frames", file, spatial, temporal, len(sent))
	}
}

// differences are the frames that a packet's depends on, each as how many frames back; nil where its template says so,
// which has only the farthest.
func differences(s *structure, descriptor []byte) (list []int) {
	r := bitReader{data: descriptor}
	r.read(2)
	id := r.read(6)
	r.read(16)
	if len(descriptor) > 3 && descriptor[3]&0x90 == 0x10 { // custom differences, no structure
		r.read(2)
		indications := r.flag()
		r.read(2)
		if descriptor[3]&0x40 != 0 {
			r.read(len(s.targets))
		}
		if indications {
			r.indications(len(s.targets))
		}
		for size := r.read(2); size > 0; size = r.read(2) {
			list = append(list, r.read(4*size)+1)
		}
		return list
	}
	if reach := s.templates[(id+maxTemplates-s.offset)%maxTemplates].reach; reach > 0 {
		list = append(list, reach)
	}
	return list
}

func TestSizesOfSpatialLayers(t *testing.T) {
	want := []siaran.Size{{Width: 240, Height: 135}, {Width: 480, Height: 270}, {Width: 960, Height: 540}}
	for _, file := range []string{"vp9-l3t3-key-described", "av1-l3t3-key-described"} {
		p := readLayered(t, file)[0]
		var d Descriptors
		if got := d.Read(p.descriptor, p.timestamp).Sizes; !slices.Equal(got, want) {
			t.Errorf("%s: %v", file, got)
		}
	}
	p := readLayered(t, "vp9-l3t3-key")[0]
	got := NewFramer(siaran.VP9).Next(p.payload, p.timestamp, p.marker)
	if !slices.Equal(got.Sizes, want[:2]) || got.Width != want[1].Width {
		t.Errorf("by the scalability structure: %v, %dx%d", got.Sizes, got.Width, got.Height)
	}
}

// Every packet of which the structure or a frame is missing is left to the bitstream, or says no more than is sure.
func TestDescriptorsAfterLosses(t *testing.T) {
	packets := readLayered(t, "av1-l3t3-key-described")
	var d Descriptors
	if got := d.Read(packets[2].descriptor, packets[2].timestamp); got != nil {
		t.Errorf("without a structure: %+v", got)
	}
	for missing := 1; missing < len(packets); missing++ {
		var d Descriptors
		for i, p := range packets {
			if i == missing {
				continue
			}
			got := d.Read(p.descriptor, p.timestamp)
			if got == nil {
				t.Fatalf("packet %d is not read", i)
			}
			if i == missing+1 && got.SwitchUp {
				t.Errorf("packet %d: a switch up after a loss", i)
			}
			if got.LayerStart && p.timestamp != packets[0].timestamp {
				t.Errorf("%d is missing: packet %d begins a layer", missing, i)
			}
		}
	}
}

func TestBrokenDescriptors(t *testing.T) {
	p := readLayered(t, "av1-l3t3-key-described")[0]
	var d Descriptors
	if d.Read(p.descriptor, 0) == nil {
		t.Fatal("the whole descriptor is not read")
	}
	for n := range len(p.descriptor) - 2 { // of which the last is the mask
		got := d.Read(p.descriptor[:n], 0)
		if n > 4 && got != nil || n > 3 && d.structure != nil {
			t.Errorf("cut off after %d bytes: %+v", n, got)
		}
		if n > 3 && d.Read([]byte{0xc0, 0, 1}, 1) != nil {
			t.Error("a broken structure is used")
		}
	}
	d.Read(p.descriptor, 0)
	for _, text := range []string{"", "c0", "c000", "ff0001"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Read(b, 1); got != nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func FuzzDescriptors(f *testing.F) {
	for _, r := range layerings {
		var data []byte
		for _, p := range readLayered(f, r.file)[:3] {
			data = append(append(data, byte(len(p.descriptor))), p.descriptor...)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var d Descriptors
		for stamp := int64(0); len(data) > 0; stamp++ {
			n := min(int(data[0]), len(data)-1)
			got := d.Read(data[1:1+n], stamp/2)
			data = data[1+n:]
			if got == nil {
				continue
			}
			if got.Spatial >= describedSpatial || got.Temporal >= describedLevels || len(got.Sizes) > describedSpatial {
				t.Fatalf("%+v", got)
			}
			if len(d.structure.templates) > maxTemplates || len(d.structure.targets) > 32 {
				t.Fatalf("%d templates, %d targets", len(d.structure.templates), len(d.structure.targets))
			}
		}
	})
}
