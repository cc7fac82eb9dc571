package harness

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// Path takes the datagrams of clients to a server and back, with a delay and losses, until the test ends.
type Path struct {
	port, server string
	front        net.PacketConn
	to           net.Addr
	delay        time.Duration // each way
	loss         float64       // of 1, each way
	running      sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	backs  []net.PacketConn
	closed bool
}

type parcel struct {
	due  time.Time
	data []byte
	to   net.Addr
}

// OpenPath opens a path to the media port of a server.
func OpenPath(t testing.TB, s *Server, delay time.Duration, loss float64) *Path {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", s.Media)
	if err != nil {
		t.Fatal(err)
	}
	front, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Path{front: front, to: to, delay: delay, loss: loss, random: rand.New(rand.NewPCG(1, 2))}
	_, p.port, _ = net.SplitHostPort(front.LocalAddr().String())
	p.server = fmt.Sprint(to.Port)
	p.running.Go(p.run)
	t.Cleanup(p.close)
	return p
}

func (p *Path) close() {
	p.mu.Lock()
	p.closed = true
	for _, c := range p.backs {
		_ = c.Close()
	}
	p.mu.Unlock()
	_ = p.front.Close()
	p.running.Wait()
}

// run takes what clients send.
func (p *Path) run() {
	ways := make(map[string]chan<- parcel)
	p.read(p.front, func(data []byte, client net.Addr) {
		way := ways[client.String()]
		if way == nil {
			if way = p.open(client); way == nil {
				return
			}
			ways[client.String()] = way
		}
		p.carry(way, data, p.to)
	})
	for _, way := range ways {
		close(way)
	}
}

// open makes the way back to a client, and returns the way from it.
func (p *Path) open(client net.Addr) chan<- parcel {
	p.mu.Lock()
	defer p.mu.Unlock()
	back, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil
	}
	if p.closed {
		_ = back.Close()
		return nil
	}
	p.backs = append(p.backs, back)
	there, home := make(chan parcel, 4096), make(chan parcel, 4096)
	p.running.Go(func() { deliver(back, there) })
	p.running.Go(func() { deliver(p.front, home) })
	p.running.Go(func() {
		defer close(home)
		p.read(back, func(data []byte, _ net.Addr) { p.carry(home, data, client) })
	})
	return there
}

func (*Path) read(c net.PacketConn, take func([]byte, net.Addr)) {
	for {
		b := make([]byte, 2048)
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		take(b[:n], from)
	}
}

func (p *Path) carry(way chan<- parcel, data []byte, to net.Addr) {
	p.mu.Lock()
	lost := p.random.Float64() < p.loss
	p.mu.Unlock()
	if lost {
		return
	}
	select {
	case way <- parcel{time.Now().Add(p.delay), data, to}:
	default: // as routers do
	}
}

func deliver(c net.PacketConn, way <-chan parcel) {
	for p := range way {
		time.Sleep(time.Until(p.due))
		_, _ = c.WriteTo(p.data, p.to)
	}
}

// Client makes requests whose answers have the path's address for the server's media address.
func (p *Path) Client() *http.Client { return &http.Client{Transport: p} }

var hostCandidate = regexp.MustCompile(` 127\.0\.0\.1 (\d+) typ host`)

// RoundTrip is for [Path.Client].
func (p *Path) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusCreated {
		return answer, err
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return nil, err
	}
	changed := hostCandidate.ReplaceAllStringFunc(string(text), func(c string) string {
		return strings.Replace(c, " "+p.server+" ", " "+p.port+" ", 1)
	})
	answer.Body, answer.ContentLength = io.NopCloser(strings.NewReader(changed)), int64(len(changed))
	return answer, nil
}
