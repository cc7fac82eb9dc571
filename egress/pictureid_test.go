package egress

import (
	"bytes"
	"testing"

	"siaran"
)

func TestPictureIDsContinue(t *testing.T) {
	payload := func(picture uint16, tl0, tid byte) []byte {
		return []byte{0x90, 0xe0, 0x80 | byte(picture>>8), byte(picture), tl0, tid << 6, 1, 2}
	}
	var ids pictureIDs
	stamp := int64(0)
	send := func(picture uint16, tl0, tid byte) pictureID {
		stamp++
		p := &siaran.Packet{Timestamp: stamp, Payload: payload(picture, tl0, tid)}
		first := ids.at(siaran.VP8, p)
		if again := ids.at(siaran.VP8, p); again != first {
			t.Errorf("two packets of a frame: %+v and %+v", first, again)
		}
		first.rewritten = false
		return first
	}
	expect := func(got pictureID, picture uint16, tl0 uint8) {
		t.Helper()
		if got.picture&0x7fff != picture || got.tl0 != tl0 {
			t.Errorf("%+v, want %d and %d", got, picture, tl0)
		}
	}
	expect(send(0x7ffe, 254, 0), 0x7ffe, 254)
	ids.skip(siaran.VP8)
	expect(send(0, 255, 0), 0x7fff, 255)
	expect(send(1, 255, 1), 0, 255)
	ids.switched()
	expect(send(500, 7, 0), 1, 0)
	expect(send(502, 8, 0), 3, 1) // 501 was lost on its way to the server
}

func FuzzPictureFields(f *testing.F) {
	f.Add(true, []byte{0x90, 0xe0, 0x81, 2, 3, 0x40, 1})
	f.Add(true, []byte{0x90, 0x80, 1, 2})
	f.Add(false, []byte{0xa0, 0x81, 2, 0x40, 3, 1})
	f.Add(false, []byte{0x20})
	f.Fuzz(func(t *testing.T, vp8 bool, payload []byte) {
		codec := siaran.VP9
		if vp8 {
			codec = siaran.VP8
		}
		fields := pictureFieldsOf(codec, payload)
		id := fields.read(payload)
		same := bytes.Clone(payload)
		if fields.write(same, id); !bytes.Equal(same, payload) {
			t.Fatalf("%x becomes %x", payload, same)
		}
		id.picture, id.tl0 = id.picture+1, id.tl0+1
		other := bytes.Clone(payload)
		fields.write(other, id)
		if again := pictureFieldsOf(codec, other); again != fields {
			t.Fatalf("%+v becomes %+v", fields, again)
		}
	})
}
