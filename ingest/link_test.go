package ingest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"siaran/mediaport"
)

// link takes the datagrams of one client to a media port and back, with a delay and losses, until the test ends.
type link struct {
	front, back *net.UDPConn
	delay       time.Duration // each way
	loss        float64       // of 1, each way
	dead        atomic.Bool   // nothing goes through
	client      atomic.Pointer[net.UDPAddr]
	lost        atomic.Int64
	old, new    string // the port in candidates
}

func openLink(t testing.TB, port *mediaport.Socket, delay time.Duration, loss float64) *link {
	t.Helper()
	server := port.Addresses()[0]
	l := &link{delay: delay, loss: loss}
	var err error
	if l.front, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	if l.back, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(server)); err != nil {
		t.Fatal(err)
	}
	_, _ = l.front.SetReadBuffer(socketBuffer), l.back.SetReadBuffer(socketBuffer)
	l.old = fmt.Sprintf(" %d typ host", server.Port())
	l.new = fmt.Sprintf(" %d typ host", l.front.LocalAddr().(*net.UDPAddr).Port)
	var running sync.WaitGroup
	carry := func(seed uint64, read func([]byte) (int, error), write func([]byte)) {
		ready := make(chan func(), 1<<14)
		running.Go(func() {
			for f := range ready {
				f()
			}
		})
		running.Go(func() {
			defer close(ready)
			random := rand.New(rand.NewPCG(seed, seed))
			for {
				b := make([]byte, 2048)
				n, err := read(b)
				if n == 0 && err != nil {
					if strings.Contains(err.Error(), "refused") {
						continue
					}
					return
				}
				if l.dead.Load() {
					continue
				}
				if random.Float64() < l.loss {
					l.lost.Add(1)
					continue
				}
				due := time.Now().Add(l.delay)
				ready <- func() { time.Sleep(time.Until(due)); write(b[:n]) }
			}
		})
	}
	carry(1, func(b []byte) (int, error) {
		n, from, err := l.front.ReadFromUDP(b)
		if err == nil {
			l.client.Store(from)
		}
		return n, err
	}, func(b []byte) { _, _ = l.back.Write(b) })
	carry(2, l.back.Read, func(b []byte) {
		if c := l.client.Load(); c != nil {
			_, _ = l.front.WriteToUDP(b, c)
		}
	})
	t.Cleanup(func() {
		_, _ = l.front.Close(), l.back.Close()
		running.Wait()
	})
	return l
}

// edit makes an answer name the link instead of the server.
func (l *link) edit(answer []byte) []byte {
	return []byte(strings.ReplaceAll(string(answer), l.old, l.new))
}
