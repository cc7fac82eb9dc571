package bench

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/webrtc/v3"

	"siaran/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

func testConfig(p *peer) Config {
	return Config{
		WHIP: p.URL + "/whip", WHEP: []string{p.URL + "/whep"}, Viewers: 5, Readers: 2, Ramp: 20, Parallel: 5, Cipher: GCM,
		Bitrate: 500_000, FPS: 30, KeyframeInterval: time.Second,
		JoinTimeout: 20 * time.Second, Duration: time.Second,
	}
}

// TestAnyServer runs against servers with a full and a lite ICE agent, in either DTLS role.
func TestAnyServer(t *testing.T) {
	for name, c := range map[string]struct {
		options []func(*webrtc.SettingEngine)
		cipher  Cipher
		want    string
	}{
		"client of DTLS":      {nil, GCM, "AEAD_AES_256_GCM"}, // pion's own order
		"server of DTLS":      {[]func(*webrtc.SettingEngine){passive}, GCM, "AEAD_AES_128_GCM"},
		"ICE lite":            {[]func(*webrtc.SettingEngine){lite}, GCM, "AEAD_AES_128_GCM"},
		"only AES-CM from us": {nil, CM, "AES128_CM_HMAC_SHA1_80"},
		"no AES-GCM at the server": {
			[]func(*webrtc.SettingEngine){passive, ciphers(dtls.SRTP_AES128_CM_HMAC_SHA1_80)},
			GCM, "AES128_CM_HMAC_SHA1_80",
		},
		"only AES-CM from us, as client": {[]func(*webrtc.SettingEngine){passive}, CM, "AES128_CM_HMAC_SHA1_80"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPeer(t, c.options...)
			cfg := testConfig(p)
			cfg.Cipher = c.cipher
			r, err := Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if r.Viewers.Joined != 5 || r.Viewers.Ciphers[c.want] != 5 {
				t.Errorf("%+v", r.Viewers)
			}
			if r.Packets.Forwarded != r.Packets.Expected || r.Packets.Expected == 0 {
				t.Errorf("%+v", r.Packets)
			}
			if x := r.Readers; x == nil || x.Lost != 0 || x.Missing != 0 || x.Published == 0 {
				t.Errorf("%+v", x)
			}
			if r.Latency == nil || r.Latency.P50 <= 0 || r.Latency.P50 > 5000 {
				t.Errorf("%+v", r.Latency)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.sessions) != 0 || p.deleted != 7 { // five, the scout and the publisher
				t.Errorf("%d sessions remain, %d deleted", len(p.sessions), p.deleted)
			}
		})
	}
}

func passive(s *webrtc.SettingEngine) {
	if err := s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		panic(err)
	}
}

func lite(s *webrtc.SettingEngine) {
	passive(s)
	s.SetLite(true)
}

// TestLossIsExact uses a server that loses the same packets for all viewers, so that what the kernel counts for the
// viewers that do not read must equal what the readers find.
func TestLossIsExact(t *testing.T) {
	p := startPeer(t)
	p.lose = 17
	cfg := testConfig(p)
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	x := r.Readers
	each := x.Missing / uint64(x.Viewers)
	if each == 0 || x.Missing != each*uint64(x.Viewers) || x.Lost == 0 || x.Lost > x.Missing {
		t.Errorf("%+v", x)
	}
	if lost := r.Packets.Expected - r.Packets.Forwarded; lost != each*uint64(r.Viewers.Joined) || r.Packets.Loss <= 0 {
		t.Errorf("readers miss %d packets each: %+v", each, r.Packets)
	}
	if r.Meanwhile == nil || r.Meanwhile.Samples == 0 {
		t.Error("no latency was measured while others joined")
	}
}

func TestInterruptedLeavesNothing(t *testing.T) {
	p := startPeer(t)
	cfg := testConfig(p)
	cfg.Duration = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := make(chan string, 100)
	cfg.Progress = writerFunc(func(b []byte) { lines <- string(b) })
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, cfg)
		done <- err
	}()
	for line := range lines {
		if strings.Contains(line, "watch for") {
			break
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sessions) != 0 {
		t.Errorf("%d sessions remain", len(p.sessions))
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}

func TestNobodyIsLive(t *testing.T) {
	p := startPeer(t)
	cfg := testConfig(p)
	cfg.WHIP = ""
	if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "404") {
		t.Error(err)
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	if err := new(Config{WHEP: []string{"nonsense"}, Cipher: "rot13"}).check(); err == nil {
		t.Error("accepted")
	} else {
		for _, flag := range []string{"--whep", "--viewers", "--cipher", "--bitrate", "--duration", "--fps", "--ramp"} {
			if !strings.Contains(err.Error(), flag) {
				t.Errorf("%s is missing in %v", flag, err)
			}
		}
	}
	cfg := testConfig(&peer{URL: "http://127.0.0.1:1"})
	cfg.Viewers = MaxViewers + 1
	if cfg.check() == nil {
		t.Error("too many viewers are accepted")
	}
	cfg = testConfig(&peer{URL: "http://127.0.0.1:1"})
	cfg.Duration = MaxDuration + 1
	if cfg.check() == nil {
		t.Error("too long a duration is accepted")
	}
}

// TestSeveralEndpoints: viewers are spread over all, and redirects are followed and counted.
func TestSeveralEndpoints(t *testing.T) {
	p := startPeer(t)
	moved := httptest.NewServer(http.RedirectHandler(p.URL+"/whep", http.StatusTemporaryRedirect))
	defer moved.Close()
	cfg := testConfig(p)
	cfg.WHEP = append(cfg.WHEP, moved.URL)
	cfg.Viewers = 6
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r.Viewers.Joined != 6 || r.Viewers.Redirects != 3 {
		t.Errorf("%+v", r.Viewers)
	}
	if len(r.Servers) != 1 || r.Servers[0].Viewers != 6 || r.Servers[0].Latency == nil {
		t.Errorf("%+v", r.Servers)
	}
}
