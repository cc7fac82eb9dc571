package web

import (
	"container/list"
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"siaran/internal/netaddr"
)

const maxBuckets = 16384 // further keys share one bucket until others have been idle for a while

// limiter limits how often each of many keys may do something.
type limiter struct {
	rate Rate

	mu      sync.Mutex
	buckets map[string]*list.Element
	recent  *list.List    // of *bucket, the newest first
	others  *rate.Limiter // of all keys for which there is no room
}

type bucket struct {
	key    string
	tokens *rate.Limiter
}

func newLimiter(r Rate) *limiter {
	return &limiter{
		rate: r, buckets: make(map[string]*list.Element), recent: list.New(),
		others: rate.NewLimiter(r.PerSecond, r.Burst),
	}
}

// take fails with 429 (RFC 6585 section 4) if key has come too often.
func (l *limiter) take(key string) error { return l.takeN(key, 1) }

// takeN is take for n at once. More than the burst costs the whole burst.
func (l *limiter) takeN(key string, n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.tokens(key, now).AllowN(now, min(n, l.rate.Burst)) {
		return &failure{
			kind: tooManyRequests, detail: "too many requests; wait a moment",
			retryAfter: int(math.Ceil(1 / float64(l.rate.PerSecond))),
		}
	}
	return nil
}

// tokens returns the bucket of a key. A bucket is forgotten only when it is full again, which gives nothing away: more
// keys than there are buckets do not get anybody more. Each new key forgets two at most, so there are no more buckets
// than keys of late.
func (l *limiter) tokens(key string, now time.Time) *rate.Limiter {
	e := l.buckets[key]
	if e == nil {
		for range 2 {
			if oldest := l.recent.Back(); oldest != nil && l.full(oldest, now) {
				l.recent.Remove(oldest)
				delete(l.buckets, oldest.Value.(*bucket).key)
			}
		}
		if len(l.buckets) >= maxBuckets {
			return l.others
		}
		key = strings.Clone(key) // it may be a small part of a request
		e = l.recent.PushFront(&bucket{key, rate.NewLimiter(l.rate.PerSecond, l.rate.Burst)})
		l.buckets[key] = e
	}
	l.recent.MoveToFront(e)
	return e.Value.(*bucket).tokens
}

func (l *limiter) full(e *list.Element, now time.Time) bool {
	return e.Value.(*bucket).tokens.TokensAt(now) >= float64(l.rate.Burst)
}

// sourceLimiter limits by source address, and by network, which may do twice as much.
type sourceLimiter struct{ sources, networks *limiter }

func newSourceLimiter(r Rate) *sourceLimiter {
	return &sourceLimiter{newLimiter(r), newLimiter(Rate{2 * r.PerSecond, 2 * r.Burst})}
}

func (l *sourceLimiter) take(c echo.Context) error { return l.takeN(c, 1) }

func (l *sourceLimiter) takeN(c echo.Context, n int) error {
	ip := c.RealIP()
	source, network := ip, ip
	if a, err := netip.ParseAddr(ip); err == nil {
		source, network = netaddr.SourceOf(a).String(), netaddr.NetworkOf(a).String()
	}
	if err := l.sources.takeN(source, n); err != nil {
		return err
	}
	return l.networks.takeN(network, n)
}

// client returns the address of the client, for limits of what one source and one network may hold. It is not valid for
// this machine itself and for a trusted proxy that does not name its client: many clients may come through these.
func (s *Server) client(c echo.Context) netip.Addr {
	a, err := netip.ParseAddr(c.RealIP())
	if err != nil || a.Unmap().IsLoopback() {
		return netip.Addr{}
	}
	a = a.Unmap().WithZone("")
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(a) {
			return netip.Addr{}
		}
	}
	return a
}
