package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"siaran/e2e/harness"
	"siaran/internal/bench"
	"siaran/web/access"
)

// BenchmarkSoak has 100 viewers watch 2.5 Mbit/s for a minute and looks at what is left of them: run it
// with -benchtime 1x. Goroutines and heap are of this process, server and viewers together.
func BenchmarkSoak(b *testing.B) {
	s := harness.Start(b)
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	soak := func(viewers, duration string) bench.Report {
		var out bytes.Buffer
		args := []string{"bench", "--whip", s.WHIP("cats"), "--whep", s.WHEP("cats"), "--token",
			s.Token(b, "cats", access.Publish),
			"--viewers", viewers, "--duration", duration, "--json"}
		if code := execute(b.Context(), args, console{&out, io.Discard}); code != 0 {
			b.Fatalf("exit code %d", code)
		}
		var r bench.Report
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			b.Fatal(err)
		}
		harness.Eventually(b, "all are gone", func() bool {
			resp, err := http.Get(s.URL + "/api/streams")
			if err != nil {
				b.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			http.DefaultClient.CloseIdleConnections()
			return err == nil && strings.Contains(string(body), `"streams":[]`)
		})
		return r
	}
	soak("10", "1s") // what is made once is made
	for b.Loop() {
		goroutines, before := runtime.NumGoroutine(), heap()
		stop, highest := make(chan struct{}), make(chan float64)
		go func() {
			top, tick := 0.0, time.NewTicker(5*time.Second)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					highest <- top
					return
				case <-tick.C:
					top = max(top, heap())
				}
			}
		}()
		r := soak("100", "60s")
		close(stop)
		b.ReportMetric(<-highest, "MB-top")
		b.ReportMetric(heap()-before, "MB-left")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines-left")
		b.ReportMetric(float64(r.Packets.Expected-r.Packets.Forwarded), "lost")
		b.ReportMetric(float64(r.Packets.Forwarded), "packets")
	}
}
