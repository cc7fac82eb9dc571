package dtlsguard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// record is one in the clear, or an encrypted one when its epoch is 1.
func record(kind byte, epoch uint16, contents ...[]byte) []byte {
	content := slices.Concat(contents...)
	b := []byte{kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(b[3:], epoch)
	binary.BigEndian.PutUint16(b[11:], uint16(len(content)))
	return append(b, content...)
}

// part is length bytes of a handshake message.
func part(number uint16, total, offset, length int) []byte {
	b := []byte{
		1, byte(total >> 16), byte(total >> 8), byte(total), byte(number >> 8), byte(number),
		byte(offset >> 16), byte(offset >> 8), byte(offset), byte(length >> 16), byte(length >> 8), byte(length),
	}
	return append(b, make([]byte, length)...)
}

func whole(number uint16, length int) []byte { return part(number, length, 0, length) }

func TestWhatIsAdmitted(t *testing.T) {
	sealed := record(typeHandshake, 1, make([]byte, 40))
	ccs := record(typeChangeCipherSpec, 0, []byte{1})
	plain := func(messages ...[]byte) []byte { return record(typeHandshake, 0, messages...) }
	tests := []struct {
		name     string
		datagram []byte
		want     error
	}{
		{"a message", plain(whole(0, 200)), nil},
		{"a message without content", plain(whole(3, 0)), nil},
		{"parts", slices.Concat(plain(part(1, 900, 0, 500)), plain(part(1, 900, 500, 400))), nil},
		{"messages in a record", plain(whole(1, 10), whole(2, 0), whole(3, 30)), nil},
		{"the rest of a message and the next", plain(part(1, 90, 80, 10), whole(2, 20)), nil},
		{"the end of a flight", slices.Concat(plain(whole(3, 66)), ccs, sealed), nil},
		{"encrypted ones", slices.Concat(sealed, record(typeAlert, 1, make([]byte, 26))), nil},
		{"the largest message", plain(part(MaxNumber, MaxMessage, MaxMessage-10, 10)), nil},

		{"nothing", nil, ErrMalformed},
		{"half a header", sealed[:12], ErrMalformed},
		{"half a record", sealed[:30], ErrMalformed},
		{"something behind", append(bytes.Clone(sealed), 22), ErrMalformed},
		{"an empty record", plain(), ErrMalformed},
		{"an empty record before another", slices.Concat(record(typeHandshake, 1), sealed), ErrMalformed},
		{"half a message header", plain(whole(1, 3), make([]byte, 11)), ErrMalformed},
		{"a part that leaves its record", plain(part(1, 20, 0, 20)[:30]), ErrMalformed},
		{"a part that leaves its message", plain(part(1, 20, 15, 6)), ErrMalformed},
		{"a part without content", plain(part(1, 20, 0, 0)), ErrMalformed},
		{"a part without content at the end", plain(part(1, 20, 20, 0)), ErrMalformed},
		{"a message that is too long", plain(part(1, MaxMessage+1, 0, 10)), ErrMalformed},
		{"a message of the far future", plain(whole(MaxNumber+1, 10)), ErrMalformed},
		{"bad behind good", slices.Concat(plain(whole(0, 9)), plain(part(1, 20, 0, 0))), ErrMalformed},
		{"application data in the clear", record(typeApplicationData, 0, []byte{1}), ErrMalformed},
		{"an alert in the clear", record(typeAlert, 0, []byte{2, 40}), ErrMalformed},
		{"another change of ciphers", record(typeChangeCipherSpec, 0, []byte{2}), ErrMalformed},
		{"another content", record(25, 1, make([]byte, 40)), ErrMalformed},
		{"another version", append([]byte{22, 3, 3}, sealed[3:]...), ErrMalformed},
		{"another epoch", record(typeHandshake, 2, make([]byte, 40)), ErrMalformed},
		{"DTLS 1.3", append([]byte{0x2f}, make([]byte, 40)...), ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var b Budget
			if err := b.Admit(test.datagram); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if test.want != nil && b != (Budget{}) {
				t.Error("what was refused has been counted")
			}
		})
	}
}

func TestPartEndsRecord(t *testing.T) {
	b := Budget{PartEndsRecord: true}
	if err := b.Admit(record(typeHandshake, 0, part(1, 90, 80, 10), whole(2, 20))); !errors.Is(err, ErrMalformed) {
		t.Errorf("a message behind a part: %v", err)
	}
	if err := b.Admit(record(typeHandshake, 0, whole(1, 20), part(2, 90, 0, 10))); err != nil {
		t.Errorf("a part at the end: %v", err)
	}
}

// TestBudgetIsSpent brings each of the three to its end, in one byte as in many.
func TestBudgetIsSpent(t *testing.T) {
	parts := [][]byte{}
	for i := range MaxFragments / 4 {
		parts = append(parts, part(1, MaxMessage, i, 1))
	}
	tests := []struct {
		name     string
		datagram []byte
		times    int
	}{
		{"datagrams", record(typeHandshake, 0, whole(0, 30)), MaxDatagrams},
		{"encrypted datagrams", record(typeHandshake, 1, make([]byte, 30)), MaxDatagrams},
		{"bytes", record(typeHandshake, 0, part(0, 2000, 0, 1024-recordHeader-messageHeader)), MaxBytes / 1024},
		{"parts", record(typeHandshake, 0, parts...), 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var b Budget
			for i := range test.times {
				if err := b.Admit(test.datagram); err != nil {
					t.Fatalf("datagram %d: %v", i, err)
				}
			}
			if err := b.Admit(test.datagram); !errors.Is(err, ErrSpent) {
				t.Errorf("one more: %v", err)
			}
		})
	}
}

// TestFinished: a stranger who forges the peer's address can neither end the connection nor have ever more of the last
// flight sent again, and nothing that he sends keeps the peer's own goodbye out.
func TestFinished(t *testing.T) {
	var b Budget
	forgery := record(typeAlert, 0, []byte{2, 40})
	goodbye, flight := record(typeAlert, 1, make([]byte, 26)), record(typeHandshake, 0, whole(3, 70))
	b.Finish()
	for _, forged := range [][]byte{forgery, slices.Concat(goodbye, forgery)} {
		if err := b.Admit(forged); !errors.Is(err, ErrMalformed) {
			t.Errorf("an alert in the clear: %v", err)
		}
	}
	for range MaxDatagrams {
		if err := b.Admit(flight); err != nil {
			t.Fatalf("the last flight once more: %v", err)
		}
	}
	if err := b.Admit(flight); !errors.Is(err, ErrSpent) {
		t.Errorf("the last flight once too often: %v", err)
	}
	for range 2 * MaxDatagrams {
		if err := b.Admit(goodbye); err != nil {
			t.Fatalf("an encrypted record: %v", err)
		}
	}
}
