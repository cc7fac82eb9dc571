package codec

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAV1SequenceOfEncoders(t *testing.T) {
	for name, test := range map[string]struct {
		obu  string
		want AV1Sequence
	}{
		"SVT-AV1 in OBS, with initial_display_delay": {"0a0f0200000d2627fb3895f22020202480",
			AV1Sequence{Level: 1, Width: 640, Height: 360, BitDepth: 8}},
		"SVT-AV1 in ffmpeg, with initial_display_delay": {"080200000d2627fb3895f20480",
			AV1Sequence{Level: 1, Width: 640, Height: 360, BitDepth: 8}},
	} {
		got, ok := ParseAV1Sequence(unhex(t, test.obu))
		if !ok || got != test.want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

func TestAV1SequenceAsTheLibraryReadsIt(t *testing.T) {
	for _, file := range []string{"av1-aom.rtp", "av1-svt.rtp"} {
		for element := range av1Elements(readRecorded(t, file)[0].payload) {
			if av1Kind(element) == av1.OBUTypeSequenceHeader {
				compareSequences(t, element)
				return
			}
		}
		t.Errorf("%s begins without a sequence header", file)
	}
}

// compareSequences holds our reading of a sequence header against the library's, where it can read it.
func compareSequences(t *testing.T, obu []byte) {
	t.Helper()
	var h av1.SequenceHeader
	if len(obu) < 2 || obu[0]&4 != 0 || h.Unmarshal(obu) != nil || h.SeqProfile > 2 || h.DecoderModelInfoPresentFlag ||
		h.TimingInfo != nil {
		return
	}
	want := AV1Sequence{
		Profile: int(h.SeqProfile), Level: int(h.SeqLevelIdx[0]), HighTier: h.SeqTier[0],
		Width: h.Width(), Height: h.Height(), BitDepth: h.ColorConfig.BitDepth,
	}
	if got, ok := ParseAV1Sequence(obu); !ok || got != want {
		t.Fatalf("%x: %+v, %v, the library has %+v", obu, got, ok, want)
	}
}

func FuzzParseAV1Sequence(f *testing.F) {
	f.Add(unhex(f, "0a0f0200000d2627fb3895f22020202480"))
	f.Add(unhex(f, "080200000d2627fb3895f20480"))
	for _, file := range []string{"av1-aom.rtp", "av1-svt.rtp"} {
		for element := range av1Elements(readRecorded(f, file)[0].payload) {
			f.Add(element[:min(len(element), 40)])
		}
	}
	f.Fuzz(func(t *testing.T, obu []byte) {
		if s, ok := ParseAV1Sequence(obu); ok {
			if s.Width < 1 || s.Width > 1<<16 || s.Height < 1 || s.Height > 1<<16 || s.BitDepth < 8 || s.BitDepth > 12 {
				t.Fatalf("%+v", s)
			}
		}
		if len(obu) > 0 && obu[0]&0x80 == 0 && av1Kind(obu) == av1.OBUTypeSequenceHeader {
			compareSequences(t, obu)
		}
	})
}

func TestJoinAV1(t *testing.T) {
	for name, test := range map[string]struct{ first, second, wantFirst, wantSecond string }{
		"two frames":                   {"1032aabb", "1032ccdd", "6003 32aabb 32", "90ccdd"},
		"the second goes on":           {"9001 02", "5032ccdd", "e002 0102 32", "d0ccdd"},
		"the first begins a sequence":  {"2802 0a0b 32aa", "1032bb", "7802 0a0b 02 32aa 32", "90bb"},
		"four elements need lengths":   {"3001 aa 01 bb cc", "1032cc", "4001 aa 01 bb 01 cc 01 32", "90cc"},
		"each with its length":         {"0002 32aa", "0002 32bb", "6002 32aa 32", "90bb"},
		"the first goes on":            {"5032aabb", "90ccdd", "5032aabb", "90ccdd"},
		"the second is a continuation": {"1032aabb", "90ccdd", "1032aabb", "90ccdd"},
		"a sequence header follows":    {"102aaabb", "100a0b00", "102aaabb", "100a0b00"},
		"a unit of one byte":           {"1032aabb", "1032", "1032aabb", "1032"},
		"a delimiter alone":            {"101200", "100a0b00", "", "100a0b00"},
		"nonsense":                     {"2009aa", "1032aa", "2009aa", "1032aa"},
	} {
		strip := func(s string) []byte { return unhex(t, string(bytes.ReplaceAll([]byte(s), []byte(" "), nil))) }
		a, b := JoinAV1(strip(test.first), strip(test.second))
		if !bytes.Equal(a, strip(test.wantFirst)) || !bytes.Equal(b, strip(test.wantSecond)) {
			t.Errorf("%s: %x and %x", name, a, b)
		}
	}
}

// FuzzJoinAV1 holds that the units are the same afterwards, and that a join is one for receivers.
func FuzzJoinAV1(f *testing.F) {
	f.Add([]byte{0x10, 0x32, 1, 2}, []byte{0x10, 0x32, 3, 4})
	f.Add([]byte{0x00, 2, 0x32, 1}, []byte{0x20, 1, 0x32, 0x32, 4})
	f.Add([]byte{0x10, 0x12, 0}, []byte{0x18, 0x0a, 1, 4})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		a, b := JoinAV1(bytes.Clone(first), bytes.Clone(second))
		if len(a) == 0 || bytes.Equal(a, first) && bytes.Equal(b, second) {
			return
		}
		if a[0]&av1Continues == 0 || b[0]&av1Continued == 0 || len(a) > len(first)+6 || len(b) > len(second) {
			t.Fatalf("%x and %x became %x and %x", first, second, a, b)
		}
		want, got := unitsOf(first, second), unitsOf(a, b)
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("%x and %x became %x and %x: units %x, not %x", first, second, a, b, got, want)
		}
	})
}

// unitsOf are the units in payloads, as a receiver joins them.
func unitsOf(payloads ...[]byte) (list [][]byte) {
	for _, p := range payloads {
		goesOn := p[0]&av1Continued != 0
		for element := range av1Elements(p) {
			if goesOn && len(list) > 0 {
				list[len(list)-1] = append(list[len(list)-1], element...)
			} else {
				list = append(list, bytes.Clone(element))
			}
			goesOn = false
		}
	}
	return list
}
