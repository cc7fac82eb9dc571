package web

import (
	"container/list"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const maxBuckets = 16384 // the longest unused goes first

// limiter counts how often something is done by each of many.
type limiter struct {
	rate Rate

	mu      sync.Mutex
	buckets map[string]*list.Element
	recent  *list.List // of *bucket, the newest first
}

type bucket struct {
	key    string
	tokens *rate.Limiter
}

func newLimiter(r Rate) *limiter {
	return &limiter{rate: r, buckets: make(map[string]*list.Element), recent: list.New()}
}

// take fails with 429 (RFC 6585 section 4) when key has come too often.
func (l *limiter) take(key string) error { return l.takeN(key, 1) }

// takeN is take for n at once.
func (l *limiter) takeN(key string, n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.buckets[key]
	if e == nil {
		if len(l.buckets) >= maxBuckets {
			oldest := l.recent.Back()
			delete(l.buckets, l.recent.Remove(oldest).(*bucket).key)
		}
		e = l.recent.PushFront(&bucket{key, rate.NewLimiter(l.rate.PerSecond, l.rate.Burst)})
		l.buckets[key] = e
	}
	l.recent.MoveToFront(e)
	if !e.Value.(*bucket).tokens.AllowN(time.Now(), n) {
		return &failure{status: http.StatusTooManyRequests, detail: "too many requests; wait a moment", retryAfter: 1}
	}
	return nil
}

// source is the part of an address that stands for one site: all of IPv4, a /64 of IPv6.
func source(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64) // 64 bits always fit
		return p.String()
	}
	return a.String()
}
