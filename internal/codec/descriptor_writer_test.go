package codec

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// readDescriptors reads what Chromium sent in a scalability mode: timestamps and descriptors.
func readDescriptors(t testing.TB, mode string) (list []layered) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "layers", mode+".descriptors"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		stamp, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, layered{recorded{timestamp: stamp, marker: fields[1] == "true"}, b})
	}
	return list
}

var describedModes = []string{"av1-l3t3", "av1-l3t3-key", "av1-l2t2-key-shift"}

// What is written reads as the original, but for the number and the targets.
func TestDescriptorsAreWrittenAsTheyAreRead(t *testing.T) {
	for _, mode := range describedModes {
		for limit := range uint8(4) {
			var before, after Descriptors
			for i, p := range readDescriptors(t, mode) {
				want := *before.Read(p.descriptor, p.timestamp)
				a := before.Apart(p.descriptor, nil)
				b := AppendDescriptor([]byte{9}, a, a.Frame+1000, limit, 0xff)[1:]
				got := after.Read(b, p.timestamp)
				if got == nil || got.Place != want.Place || len(got.Sizes) != len(want.Sizes) {
					t.Fatalf("%s: packet %d reads %+v, want %+v", mode, i, got, want)
				}
				mask := a.Active & upTo(a.Targets, limit, 0xff)
				w := after.Apart(b, nil)
				if w.Frame != a.Frame+1000 || w.Starts != a.Starts || w.Active != mask || w.Masked != a.Starts {
					t.Fatalf("%s: packet %d: %+v, want number %d, targets %b", mode, i, w, a.Frame+1000, mask)
				}
				if same := AppendDescriptor(nil, a, a.Frame, 3, 0xff); (a.Masked || !a.Starts) && !bytes.Equal(same, p.descriptor) {
					t.Errorf("%s: packet %d is %x, and was %x", mode, i, same, p.descriptor)
				}
				if len(b) > MostDescriptor || len(b) > len(p.descriptor)+5 {
					t.Errorf("%s: packet %d has %d bytes instead of %d", mode, i, len(b), len(p.descriptor))
				}
			}
		}
	}
}

// Where frames of one picture are of different temporal layers, none can be left out.
func TestShiftedTemporalLayersStayOne(t *testing.T) {
	var d Descriptors
	for i, p := range readDescriptors(t, "av1-l2t2-key-shift") {
		got := d.Read(p.descriptor, p.timestamp)
		if i > 1 && (got.Temporal != 0 || got.SwitchUp) {
			t.Fatalf("packet %d: %+v", i, got)
		}
	}
}

func TestLongDescriptorsGoToNobody(t *testing.T) {
	var d Descriptors
	b := append(bytes.Clone(readDescriptors(t, "av1-l3t3")[0].descriptor), make([]byte, maxDescriptor)...)
	if d.Read(b, 0) == nil || d.Apart(b, nil) != nil {
		t.Error("it goes out")
	}
}

func FuzzAppendDescriptor(f *testing.F) {
	for _, mode := range describedModes {
		p := readDescriptors(f, mode)
		f.Add(p[0].descriptor, p[1].descriptor, p[2].descriptor, uint8(1), uint8(0))
	}
	f.Fuzz(func(t *testing.T, first, second, third []byte, spatial, temporal uint8) {
		var before Descriptors
		for i, b := range [][]byte{first, second, third} {
			if before.Read(b, int64(i/2)) == nil {
				continue
			}
			a := before.Apart(b, nil)
			if a == nil {
				continue
			}
			written := AppendDescriptor(nil, a, 0x1234, spatial, temporal)
			if len(written) > MostDescriptor {
				t.Fatalf("%d bytes", len(written))
			}
			// Readers that know the structure, and no frame.
			one, other := Descriptors{structure: before.structure}, Descriptors{structure: before.structure}
			want, got := one.Read(b, 0), other.Read(written, 0)
			if got == nil || got.Place != want.Place || !slices.Equal(got.Sizes, want.Sizes) || other.apart.Frame != 0x1234 {
				t.Fatalf("%x reads %+v, %x reads %+v", b, want, written, got)
			}
			if mask := a.Active & upTo(a.Targets, spatial, temporal); a.Starts && other.apart.Active != mask {
				t.Fatalf("%x: targets %b, want %b", written, other.apart.Active, mask)
			}
		}
	})
}
