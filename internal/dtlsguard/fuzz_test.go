package dtlsguard

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/dtls/v2/pkg/crypto/selfsign"
	"github.com/pion/dtls/v2/pkg/protocol/handshake"
	"github.com/pion/dtls/v2/pkg/protocol/recordlayer"
)

// datagrams cuts a fuzzer's input: two bytes of length before each.
func datagrams(input []byte) (list [][]byte) {
	for len(input) >= 2 {
		n := min(int(binary.BigEndian.Uint16(input)&0x7ff), len(input)-2)
		list = append(list, input[2:2+n])
		input = input[2+n:]
	}
	return list
}

// joined makes a fuzzer's input of datagrams. It numbers their records, since a library drops what comes again.
func joined(list ...[]byte) (input []byte) {
	number := uint32(0)
	for _, d := range list {
		for r := d; len(r) > recordHeader; r = r[recordHeader+int(binary.BigEndian.Uint16(r[11:])):] {
			binary.BigEndian.PutUint32(r[7:], number)
			number++
		}
		input = append(binary.BigEndian.AppendUint16(input, uint16(len(d))), d...)
	}
	return input
}

// hostile are handshakes that were expensive, each as a fuzzer's input.
func hostile() (seeds [][]byte) {
	chain := [][]byte{}
	for i := range 200 {
		parts := [][]byte{}
		for k := range 75 {
			parts = append(parts, record(22, 0, part(0, 0xffffff, 1+i*75+k, 1)))
		}
		chain = append(chain, slices.Concat(parts...))
	}
	again := [][]byte{}
	for range 75 {
		again = append(again, record(22, 0, part(0, 0xffffff, 0, 1)))
	}
	seeds = append(seeds, joined(append(chain, slices.Concat(again...))...))

	short := [][]byte{}
	for i := range 15000 {
		short = append(short, record(22, 0, part(0, MaxMessage, 1+i, 1)))
	}
	seeds = append(seeds, joined(append(short, slices.Concat(again[:20]...))...))

	empty := [][]byte{}
	for i := range 165 {
		empty = append(empty, part(uint16(i), 0, 0, 0))
	}
	seeds = append(seeds, joined(record(22, 0, empty...), record(22, 0, empty[:17]...)))
	// The headers that a reader of fragment lengths sees are good; one that goes by message lengths sees others.
	seeds = append(seeds, joined(record(22, 0, part(1, 20, 0, 1), whole(2, 7), part(9, 0, 0, 0), part(3, 80, 0, 40))))
	seeds = append(seeds, joined(record(21, 0, []byte{2, 40}), record(20, 0, []byte{1}), record(23, 0, []byte{1, 2})))
	return seeds
}

// FuzzAdmit compares with the library's own reading: of what is admitted it reads the same records, and messages that
// lie within their bounds.
func FuzzAdmit(f *testing.F) {
	for _, seed := range hostile() {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, input []byte, partEndsRecord bool) {
		b := Budget{PartEndsRecord: partEndsRecord}
		admitted, size, fragments := 0, 0, 0
		for _, d := range datagrams(input) {
			if b.Admit(d) != nil {
				continue
			}
			admitted, size = admitted+1, size+len(d)
			records, err := recordlayer.UnpackDatagram(d)
			if err != nil {
				t.Fatalf("the library cannot read %x: %v", d, err)
			}
			for _, r := range records {
				var h recordlayer.Header
				if err := h.Unmarshal(r); err != nil {
					t.Fatal(err)
				}
				if h.Epoch == 0 && h.ContentType == 22 {
					fragments += walk(t, r[recordlayer.HeaderSize:], partEndsRecord)
				}
			}
		}
		if admitted > MaxDatagrams || size > MaxBytes || fragments > MaxFragments {
			t.Errorf("%d datagrams, %d bytes, %d parts", admitted, size, fragments)
		}
	})
}

// walk reads a handshake record as pion/dtls v2 does, or by the lengths of fragments as v3 does.
func walk(t *testing.T, content []byte, v2 bool) (count int) {
	for ; len(content) > 0; count++ {
		var h handshake.Header
		if err := h.Unmarshal(content); err != nil {
			t.Fatalf("a header where there is none: %v", err)
		}
		if h.Length > MaxMessage || h.MessageSequence > MaxNumber || h.FragmentOffset+h.FragmentLength > h.Length ||
			h.FragmentLength == 0 && h.Length > 0 {
			t.Fatalf("admitted %+v", h)
		}
		end := handshake.HeaderLength + int(h.FragmentLength)
		if v2 {
			end = min(handshake.HeaderLength+int(h.Length), len(content))
		}
		if end > len(content) {
			t.Fatalf("%+v leaves its record", h)
		}
		content = content[end:]
	}
	return count
}

// FuzzHandshake drives the library's server and client with what is admitted. No input may take more than a second of
// the processor.
func FuzzHandshake(f *testing.F) {
	certificate, err := selfsign.GenerateSelfSigned()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range hostile() {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, input []byte, server bool) {
		began := processorTime(t)
		conn := &feed{}
		b := Budget{PartEndsRecord: true}
		for _, d := range datagrams(input) {
			if b.Admit(d) == nil {
				conn.list = append(conn.list, d)
			}
		}
		config := &dtls.Config{
			Certificates: []tls.Certificate{certificate}, InsecureSkipVerify: true,
			ClientAuth: dtls.RequireAnyClientCert, InsecureSkipVerifyHello: true,
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		conn.empty = cancel
		var c *dtls.Conn
		var err error
		if server {
			c, err = dtls.ServerWithContext(ctx, conn, config)
		} else {
			c, err = dtls.ClientWithContext(ctx, conn, config)
		}
		if err == nil {
			c.Close()
		}
		if took := processorTime(t) - began; took > time.Second {
			t.Errorf("it took %v of processor time", took)
		}
	})
}

// feed is a connection that brings a list of datagrams and then ends. It takes all that is written.
type feed struct {
	list  [][]byte
	empty func() // all has been read
}

func (f *feed) Read(p []byte) (int, error) {
	if len(f.list) == 0 {
		f.empty()
		return 0, io.EOF
	}
	n := copy(p, f.list[0])
	f.list = f.list[1:]
	return n, nil
}

func (f *feed) Close() error                     { return nil }
func (f *feed) Write(p []byte) (int, error)      { return len(p), nil }
func (f *feed) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (f *feed) RemoteAddr() net.Addr             { return &net.UDPAddr{} }
func (f *feed) SetDeadline(time.Time) error      { return nil }
func (f *feed) SetReadDeadline(time.Time) error  { return nil }
func (f *feed) SetWriteDeadline(time.Time) error { return nil }
