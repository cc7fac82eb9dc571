package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"
)

// ThinPath is a way to a server whose media passes a bottleneck with a queue. It is for one viewer, and shapes only
// what the viewer receives.
type ThinPath struct {
	URL string // of the server by this way, without a slash at the end

	front, back *net.UDPConn // towards the viewer, towards the server
	late        chan datagram
	done        sync.WaitGroup

	mu      sync.Mutex
	rate    int           // bits a second
	limit   time.Duration // of the queue
	delay   time.Duration
	free    time.Time // when the bottleneck has sent what is queued
	viewer  netip.AddrPort
	longest time.Duration
	dropped int
	passed  int // bytes
}

type datagram struct {
	at time.Time
	b  []byte
}

// ThinPath opens a way to the server, until the test ends. The queue is of limited length, at the rate of the moment;
// delay is that of each datagram without a queue.
func (s *Server) ThinPath(t testing.TB, rate int, limit, delay time.Duration) *ThinPath {
	t.Helper()
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	media, err := net.ResolveUDPAddr("udp4", s.Media)
	if err != nil {
		t.Fatal(err)
	}
	p := &ThinPath{rate: rate, limit: limit, delay: delay, late: make(chan datagram, 1<<14)}
	if p.back, err = net.DialUDP("udp4", nil, media); err != nil {
		t.Fatal(err)
	}
	if p.front, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*net.UDPConn{p.front, p.back} {
		_ = c.SetReadBuffer(4 << 20) // more than what the bottleneck lets wait
	}
	from := fmt.Sprintf(" %d typ host", media.Port)
	to := fmt.Sprintf(" %d typ host", p.front.LocalAddr().(*net.UDPAddr).Port)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error { return replaceInSDP(r, from, to) },
	})
	p.URL = proxy.URL
	p.done.Go(p.up)
	p.done.Go(p.down)
	p.done.Go(p.deliver)
	t.Cleanup(func() {
		proxy.CloseClientConnections() // those of live updates
		proxy.Close()
		_, _ = p.front.Close(), p.back.Close()
		p.done.Wait()
	})
	return p
}

func replaceInSDP(r *http.Response, old, new string) error {
	if r.Header.Get("Content-Type") != "application/sdp" {
		return nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	b = bytes.ReplaceAll(b, []byte(old), []byte(new))
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	r.Header.Set("Content-Length", strconv.Itoa(len(b)))
	return nil
}

// SetRate changes what the bottleneck carries, in bits a second.
func (p *ThinPath) SetRate(rate int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if left := time.Until(p.free); left > 0 {
		p.free = time.Now().Add(left * time.Duration(p.rate) / time.Duration(rate))
	}
	p.rate = rate
}

// Report returns the longest queue that a datagram has found since the last report, and how many bytes have passed and
// datagrams were dropped in that time.
func (p *ThinPath) Report() (longest time.Duration, passed, dropped int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	longest, passed, dropped = p.longest, p.passed, p.dropped
	p.longest, p.passed, p.dropped = 0, 0, 0
	return longest, passed, dropped
}

// up takes what the viewer sends.
func (p *ThinPath) up() {
	buf := make([]byte, 2048)
	for {
		n, from, err := p.front.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.viewer = from
		p.mu.Unlock()
		_, _ = p.back.Write(buf[:n]) // refused once the server has stopped
	}
}

// down queues what the server sends.
func (p *ThinPath) down() {
	defer close(p.late)
	buf := make([]byte, 2048)
	for {
		n, err := p.back.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the server has stopped
		}
		if at, ok := p.admit(n); ok {
			p.late <- datagram{at, bytes.Clone(buf[:n])}
		}
	}
}

// admit reports when a datagram of n bytes arrives, and false if there is no room in the queue.
func (p *ThinPath) admit(n int) (at time.Time, ok bool) {
	const headers = 28 // of IP and UDP
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	waits := p.free.Sub(now)
	p.longest = max(p.longest, waits)
	if waits > p.limit {
		p.dropped++
		return time.Time{}, false
	}
	p.passed += n
	p.free = p.free.Add(time.Duration(n+headers) * 8 * time.Second / time.Duration(p.rate))
	return p.free.Add(p.delay), true
}

// deliver sends datagrams to the viewer when it is time.
func (p *ThinPath) deliver() {
	for d := range p.late {
		time.Sleep(time.Until(d.at))
		p.mu.Lock()
		viewer := p.viewer
		p.mu.Unlock()
		_, _ = p.front.WriteToUDPAddrPort(d.b, viewer) // the viewer may be gone
	}
}
