package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/bench"
	"siaran/web/access"
)

// TestBench measures a whole server for a moment, by what a user types.
func TestBench(t *testing.T) {
	s := harness.Start(t)
	for _, cipher := range []string{"gcm", "cm"} {
		t.Run(cipher, func(t *testing.T) {
			var out bytes.Buffer
			args := []string{"bench", "--whip", s.WHIP("cats"), "--whep", s.WHEP("cats"), "--token",
				s.Token(t, "cats", access.Publish),
				"--viewers", "5", "--readers", "2", "--ramp", "20", "--duration", "2s", "--settle", "1s", "--bitrate", "800k",
				"--cipher", cipher, "--ignore-pli", "--keyframe-interval", "10s", "--json"}
			if code := execute(t.Context(), args, console{&out, testLines{t}}); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			var r bench.Report
			if err := json.Unmarshal(out.Bytes(), &r); err != nil {
				t.Fatalf("%v in %s", err, out.String())
			}
			name := map[string]string{"gcm": "AEAD_AES_128_GCM", "cm": "AES128_CM_HMAC_SHA1_80"}[cipher]
			if r.Viewers.Joined != 5 || r.Viewers.Ciphers[name] != 5 || r.Viewers.FirstKeyframe.Samples != 5 ||
				len(r.Viewers.Lost) != 0 {
				t.Errorf("%+v", r.Viewers)
			}
			if r.Packets.Expected == 0 || r.Packets.Forwarded != r.Packets.Expected {
				t.Errorf("%+v", r.Packets)
			}
			if r.Readers == nil || r.Readers.Lost != 0 || r.Readers.Missing != 0 || r.Readers.Published == 0 {
				t.Errorf("%+v", r.Readers)
			}
			if r.Latency == nil || r.Latency.Samples == 0 || r.Bench.Undecryptable != 0 {
				t.Errorf("%+v, %+v", r.Latency, r.Bench)
			}
		})
	}
}

// TestBenchThroughTheRelay brings every packet to viewers that come through it, over each of its transports.
func TestBenchThroughTheRelay(t *testing.T) {
	s := harness.StartSecure(t)
	for _, relay := range []bench.Relay{bench.RelayUDP, bench.RelayTCP, bench.RelayTLS} {
		t.Run(string(relay), func(t *testing.T) {
			r, err := bench.Run(t.Context(), bench.Config{
				WHIP: s.WHIP("cats"), WHEP: []string{s.WHEP("cats")}, Token: s.Token(t, "cats", access.Publish), Roots: s.CA.Pool(),
				Relay:   relay,
				Viewers: 5, Readers: 2, Ramp: 20, Parallel: 5, Cipher: bench.GCM, Bitrate: 800_000, FPS: 30,
				KeyframeInterval: 2 * time.Second,
				JoinTimeout:      20 * time.Second, Settle: time.Second, Duration: 2 * time.Second, Progress: testLines{t},
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.Viewers.Joined != 5 || len(r.Viewers.Lost) != 0 || r.Relay != string(relay) {
				t.Errorf("%+v", r.Viewers)
			}
			if r.Packets.Expected == 0 || r.Packets.Forwarded != r.Packets.Expected || r.Readers.Lost != 0 ||
				r.Readers.Missing != 0 {
				t.Errorf("%+v, %+v", r.Packets, r.Readers)
			}
		})
	}
}

// TestBenchWithoutARelay says what is missing.
func TestBenchWithoutARelay(t *testing.T) {
	none := ""
	s := harness.Start(t, func(c *server.Config) { c.TURN, c.TURNS, c.Demo = &none, &none, true })
	harness.Eventually(t, "bench is told that there is none", func() bool {
		var complaints bytes.Buffer
		code := execute(t.Context(), []string{"bench", "--whep", s.WHEP("demo"), "--relay", "tcp", "--viewers", "1",
			"--duration", "1s"}, console{io.Discard, &complaints})
		return code == 1 && strings.Contains(complaints.String(), "relay: the server names no relay over TCP")
	})
}

// TestBenchAttaches measures a stream that somebody else publishes.
func TestBenchAttaches(t *testing.T) {
	s := harness.Start(t, func(c *server.Config) { c.Demo = true })
	harness.Eventually(t, "the demo is live", func() bool {
		var out bytes.Buffer
		code := execute(t.Context(), []string{"bench", "--whep", s.WHEP("demo"), "--viewers", "2", "--duration", "1s",
			"--settle", "0s", "--ramp", "100"}, console{&out, io.Discard})
		return code == 0 && strings.Contains(out.String(), "2 of 2 joined") && strings.Contains(out.String(), "0.0000 % lost")
	})
}

func TestBenchFlags(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no endpoint":     {[]string{}, "--whep"},
		"no URL":          {[]string{"--whep", "cats"}, "WHEP endpoint"},
		"too many":        {[]string{"--whep", "http://127.0.0.1:1/x", "--viewers", "5001"}, "--viewers"},
		"too long":        {[]string{"--whep", "http://127.0.0.1:1/x", "--duration", "11m"}, "--duration"},
		"no bitrate":      {[]string{"--whep", "http://127.0.0.1:1/x", "--bitrate", "fast"}, "bitrate"},
		"unknown cipher":  {[]string{"--whep", "http://127.0.0.1:1/x", "--cipher", "rot13"}, "--cipher"},
		"no such relay":   {[]string{"--whep", "http://127.0.0.1:1/x", "--relay", "pigeon"}, "--relay"},
		"its own process": {[]string{"--whep", "http://127.0.0.1:1/x", "--pid", strconv.Itoa(os.Getpid())}, "--pid"},
		"nobody there":    {[]string{"--whep", "http://127.0.0.1:1/x"}, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			var complaints bytes.Buffer
			if code := execute(context.Background(), append([]string{"bench"}, c.args...),
				console{io.Discard, &complaints}); code == 0 {
				t.Error("accepted")
			}
			if !strings.Contains(complaints.String(), c.want) {
				t.Errorf("nothing about %q in %q", c.want, complaints.String())
			}
		})
	}
}

func TestBitrate(t *testing.T) {
	for text, want := range map[string]server.Bitrate{
		"2500k": 2_500_000, "2.5M": 2_500_000, "300000": 300_000, "0.3M": 300_000,
		"": 0, "k": 0, "-1k": 0, "0": 0, "NaN": 0, "InfM": 0, "1e99": 0, "5G": 0,
	} {
		var b server.Bitrate
		if err := b.UnmarshalText([]byte(text)); (err == nil) != (want > 0) || b != want {
			t.Errorf("%q: %d, %v", text, b, err)
		}
	}
}

func TestSameHost(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"http://a:1/whip/x", "http://a:1/whep/x", true}, {"http://a:1/whip/x", "http://b:1/whep/x", false},
		{"https://a/x", "http://a/x", false}, {"http://a:1/x", "http://a:2/x", false},
	} {
		if sameHost(c.a, c.b) != c.want {
			t.Errorf("%s and %s", c.a, c.b)
		}
	}
}

// TestReportShape holds the names in the JSON, which scripts rely on.
func TestReportShape(t *testing.T) {
	var out bytes.Buffer
	full := &bench.Report{Published: &bench.Stream{}, Readers: &bench.Readers{}, Latency: &bench.Spread{},
		Meanwhile: &bench.Spread{}, Server: &bench.Server{}}
	if err := printReport(&out, full, true); err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(out.Bytes(), &tree); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"published.bitsPerSecond", "viewers.joined", "viewers.asked", "viewers.failures", "viewers.joinsPerSecond",
		"viewers.ciphers",
		"viewers.firstKeyframeMs.p50", "viewers.firstKeyframeMs.p99", "packets.perSecond", "packets.expected",
		"packets.forwarded", "packets.lossPercent",
		"readers.lost", "readers.missingVideo", "addedLatencyMs.p50", "addedLatencyMs.p99", "addedLatencyMs.max",
		"addedLatencyWhileJoiningMs.p99",
		"server.cpuMicrosPerPacket", "server.cores", "server.cpuMillisPerJoin", "server.rssPerViewerBytes", "server.threads",
		"server.voluntarySwitchesPerSecond", "server.involuntarySwitchesPerSecond", "bench.cores", "warnings",
	} {
		var node any = tree
		for _, key := range strings.Split(path, ".") {
			inner, ok := node.(map[string]any)
			if !ok || inner == nil {
				t.Fatalf("no %s", path)
			}
			if node, ok = inner[key]; !ok {
				t.Fatalf("no %s", path)
			}
		}
	}
	out.Reset()
	if err := printReport(&out, full, false); err != nil || !strings.Contains(out.String(), "first key frame after") {
		t.Errorf("%v: %s", err, out.String())
	}
}

// testLines is what a command says to people, in the test's log.
type testLines struct{ t *testing.T }

func (l testLines) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}
