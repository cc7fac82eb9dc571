//go:build unix

package egress

import (
	"context"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"siaran/mediaport"

	"github.com/pion/dtls/v3/pkg/crypto/selfsign"

	"siaran/internal/sdp"
)

// maxHandshakeCPU is far above what a handshake costs, which is some milliseconds, and far below what an attack is
// worth.
const maxHandshakeCPU = 2 * time.Second

// FuzzDTLS gives a handshake datagrams of a stranger's, in both roles, and measures what they cost. An input is a byte
// for the role, then datagrams with two bytes of length before each.
func FuzzDTLS(f *testing.F) {
	hello := clientHelloRecord()
	f.Add(append([]byte{0}, framed(hello, hello)...))
	f.Add(append([]byte{1}, framed(hello)...))
	many := []byte{0}
	many = append(many, framed(hello)...)
	for i := range 60 { // a chain of fragments without its first
		var d []byte
		for j := range 20 {
			d = append(d, fragmentRecord(i*20+j, 1, 1<<13, i*20+j+1, 1)...)
		}
		many = append(many, framed(d)...)
	}
	f.Add(many)
	certificate, err := selfsign.GenerateSelfSigned()
	if err != nil {
		f.Fatal(err)
	}
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { socket.Close() })
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) == 0 {
			return
		}
		before := processorTime(t)
		l := testLink(socket, "r", "p")
		var spawned sync.WaitGroup
		ownerOf(l).spawn = spawned.Go
		ownerOf(l).onEnded = func(error) {}
		proveAt(l, netip.MustParseAddrPort("127.0.0.1:9"))
		pipe := newDTLSConn(l)
		l.pipe = pipe
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			fingerprint := sdp.Fingerprint{Algorithm: "sha-256", Value: "00"}
			if l.handshake(ctx, certificate, input[0]&1 == 1, []sdp.Fingerprint{fingerprint}) == nil {
				t.Error("a stranger got through a handshake")
			}
		}()
		for rest := input[1:]; len(rest) > 2; {
			n := min(int(rest[0])<<8|int(rest[1]), len(rest)-2, mediaport.MaxDatagram)
			l.handleDTLS(rest[2:2+n], netip.MustParseAddrPort("127.0.0.1:9"), netip.Addr{})
			rest = rest[2+n:]
		}
		pipe.finish() // dtls reads what is queued, and no more
		<-done
		l.close()
		spawned.Wait()
		if took := processorTime(t) - before; took > maxHandshakeCPU {
			t.Errorf("%d bytes cost %v of CPU", len(input), took)
		}
	})
}

func framed(datagrams ...[]byte) (all []byte) {
	for _, d := range datagrams {
		all = append(append(all, byte(len(d)>>8), byte(len(d))), d...)
	}
	return all
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
