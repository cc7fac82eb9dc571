package web

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/testutil"
)

// TestHerd has many pages wait for a stream, and come when it goes live, as pages do. All of them are let in. How fast,
// and what those notice who watch another stream, is told with -v; SIARAN_HERD=5000 makes it a measurement.
func TestHerd(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("SIARAN_HERD"))
	if n == 0 {
		n = 50
	}
	s := start(t, func(c *Config) { c.Logger, c.Limits.Watch = nil, Rate{1e6, 1e6} }) // they come from one address here
	s.client.Transport.(checking).MaxIdleConnsPerHost = n
	latency := s.stamped("dogs")
	time.Sleep(min(time.Duration(n)*time.Millisecond, 5*time.Second)) // what it is like without a herd
	before := latency()
	body := offer(t, "whep-chromium")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var came []time.Time
	refused := 0
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	for range n {
		wg.Go(func() {
			if err := s.waitsForCats(ctx); err != nil {
				t.Error(err)
				return
			}
			for ctx.Err() == nil {
				r := s.do(call{method: "POST", path: "/whep/cats", body: body}.with(sdpBody...))
				mu.Lock()
				if r.StatusCode != http.StatusServiceUnavailable {
					if r.StatusCode != http.StatusCreated {
						t.Errorf("%d %s", r.StatusCode, r.body)
					}
					came = append(came, time.Now())
					mu.Unlock()
					return
				}
				refused++
				mu.Unlock()
				after, _ := strconv.Atoi(r.Header.Get("Retry-After"))
				time.Sleep(time.Duration(after) * time.Second * time.Duration(100+rand.IntN(50)) / 100)
			}
		})
	}
	testutil.Eventually(t, "all wait", func() bool {
		s.server.liveFeed.mu.Lock()
		defer s.server.liveFeed.mu.Unlock()
		return len(s.server.liveFeed.followers) == n
	})
	waiting := latency()
	began := time.Now()
	s.broadcast("cats", siaran.VP8, recorded(t, "vp8"))
	wg.Wait()
	joining := latency()
	if len(came) != n {
		t.Fatalf("%d of %d came", len(came), n)
	}
	slices.SortFunc(came, time.Time.Compare)
	t.Logf("%d came within %s, half of them after %s; %d were sent away", n, came[n-1].Sub(began).Round(time.Millisecond),
		came[n/2].Sub(began).Round(time.Millisecond), refused)
	t.Logf("packets of those who watched (p50, p99, highest): %v alone, %v while pages waited, %v while they came",
		before, waiting, joining)
}

// waitsForCats returns when a page that follows the stream would make its offer.
func (s *site) waitsForCats(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, "GET", s.url+"/api/streams/events?stream=cats", nil)
	if err != nil {
		return err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for come := false; lines.Scan(); come = lines.Text() == "event: come" {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && come {
			var within struct{ Within int }
			if err := json.Unmarshal([]byte(data), &within); err != nil {
				return err
			}
			time.Sleep(time.Duration(rand.IntN(within.Within+1)) * time.Millisecond)
			return nil
		}
	}
	return lines.Err()
}

// stamped makes a stream live whose packets say when they were sent, and has a viewer watch it. latency returns the
// median, the 99th percentile and the highest of what the packets took since the last call.
func (s *site) stamped(stream string) (latency func() [3]time.Duration) {
	s.t.Helper()
	var mu sync.Mutex
	var list []time.Duration
	began := time.Now()
	viewer := s.viewer()
	viewer.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			if n := len(p.Payload); n == 100 {
				mu.Lock()
				list = append(list, time.Since(began)-time.Duration(binary.BigEndian.Uint64(p.Payload[n-8:])))
				mu.Unlock()
			}
		}
	})
	packets := recorded(s.t, "vp8")
	_, w := s.broadcast(stream, siaran.VP8, packets)
	done := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		payload := make([]byte, 100)
		payload[0], payload[1] = 0x10, 0x01 // the beginning of a frame that is no key frame
		for n := int64(len(packets)); ; n++ {
			select {
			case <-done:
				return
			case now := <-tick.C:
				binary.BigEndian.PutUint64(payload[92:], uint64(time.Since(began)))
				if w.Write(n, n*900, true, slices.Clone(payload), now) != nil {
					return
				}
			}
		}
	})
	s.t.Cleanup(func() { close(done); sending.Wait() })
	viewer.mustOpen("/whep/"+stream, "")
	latency = func() [3]time.Duration {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(list)
		defer func() { list = nil }()
		if len(list) == 0 {
			return [3]time.Duration{}
		}
		at := func(share float64) time.Duration {
			return list[int(share*float64(len(list)-1))].Round(10 * time.Microsecond)
		}
		return [3]time.Duration{at(0.5), at(0.99), at(1)}
	}
	testutil.Eventually(s.t, "packets come", func() bool { return latency() != [3]time.Duration{} })
	return latency
}
