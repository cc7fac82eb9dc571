package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"siaran/cmd/siaran/internal/bench"
)

type benchCommand struct {
	WHEP      string `name:"whep" required:"" placeholder:"URL" help:"WHEP endpoint to watch at, such as http://127.0.0.1:8080/whep/cats. Any server's."`
	WHIP      string `name:"whip" placeholder:"URL" help:"WHIP endpoint to publish a synthetic stream to. Without it the stream must be live, and latency is not measured."`
	Token     string `placeholder:"TOKEN" help:"Token that allows to publish. As SIARAN_TOKEN it does not show in the list of processes."`
	WHEPToken string `name:"whep-token" placeholder:"TOKEN" help:"Token that allows to watch (default: --token, if both endpoints are at one host)."`

	Viewers  int           `default:"200" help:"How many watch, up to 5000 (default ${default})."`
	Duration time.Duration `default:"20s" help:"Measured time after all have joined, up to 10m (default ${default})."`
	PID      int           `name:"pid" placeholder:"PROCESS" help:"The server's process on this machine, to measure its CPU time, memory and threads (Linux)."`
	JSON     bool          `name:"json" help:"Print the report as JSON."`

	Ramp        float64       `default:"50" help:"Joins a second (default ${default})."`
	Parallel    int           `default:"256" help:"Joins that may run at the same time (default ${default})."`
	JoinTimeout time.Duration `name:"join-timeout" default:"15s" help:"Time for a join, up to the whole first key frame (default ${default})."`
	Settle      time.Duration `default:"2s" help:"Time between the last join and the measured time (default ${default})."`
	Readers     int           `default:"4" help:"Viewers that read and decrypt everything, for exact loss (default ${default})."`
	FullReadAll bool          `name:"full-read-all" help:"All viewers do. It costs much more CPU here."`
	Cipher      bench.Cipher  `default:"gcm" enum:"gcm,cm" help:"SRTP cipher that viewers prefer: gcm (AES-GCM) or cm (AES-CM with HMAC-SHA1 and nothing else) (default ${default})."`

	Relay bench.Relay `enum:",udp,tcp,tls" default:"" placeholder:"udp|tcp|tls" help:"Viewers come through the server's relay (TURN) alone, over udp, tcp or tls (default: straight over UDP)."`

	Bitrate          bitrate       `default:"2500k" help:"Bits a second of the video, such as 2500k or 2.5M (default ${default})."`
	FPS              int           `name:"fps" default:"30" help:"Frames a second (default ${default})."`
	KeyframeInterval time.Duration `name:"keyframe-interval" default:"2s" help:"From one key frame to the next (default ${default})."`
	IgnorePLI        bool          `name:"ignore-pli" help:"Send no key frames when the server asks for them, as OBS does."`
}

// fewReaders is how many viewers that read everything one CPU has no trouble with.
const fewReaders = 32

// Run measures, and prints what it has found.
func (b benchCommand) Run(ctx context.Context, c console) error {
	cfg := bench.Config{
		WHIP: b.WHIP, WHEP: b.WHEP, Token: b.Token, WHEPToken: b.WHEPToken,
		Viewers: b.Viewers, Readers: b.Readers, Ramp: b.Ramp, Parallel: b.Parallel, Cipher: b.Cipher, Relay: b.Relay,
		Bitrate: int(b.Bitrate), FPS: b.FPS, KeyframeInterval: b.KeyframeInterval, IgnorePLI: b.IgnorePLI,
		JoinTimeout: b.JoinTimeout, Settle: b.Settle, Duration: b.Duration, PID: b.PID, Progress: c.err,
	}
	if b.FullReadAll {
		cfg.Readers = b.Viewers
	}
	cfg.OneCPU = cfg.Readers <= fewReaders
	if cfg.WHEPToken == "" && (b.WHIP == "" || sameHost(b.WHIP, b.WHEP)) {
		cfg.WHEPToken = b.Token
	}
	report, err := bench.Run(ctx, cfg)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return errors.New("interrupted; all sessions are ended, and nothing was measured")
	}
	if err != nil {
		return err
	}
	return printReport(c.out, report, b.JSON)
}

func printReport(w io.Writer, report *bench.Report, asJSON bool) error {
	if !asJSON {
		return report.Table(w)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(report)
}

// sameHost tells whether a token for one URL may be shown to the other.
func sameHost(a, b string) bool {
	one, err := url.Parse(a)
	if err != nil {
		return false
	}
	other, err := url.Parse(b)
	return err == nil && one.Scheme == other.Scheme && one.Host == other.Host
}

// bitrate is bits a second.
type bitrate int

// UnmarshalText reads a number with an optional k or M.
func (b *bitrate) UnmarshalText(text []byte) error {
	number, factor := string(text), 1.0
	switch {
	case strings.HasSuffix(number, "k"):
		number, factor = strings.TrimSuffix(number, "k"), 1e3
	case strings.HasSuffix(number, "M"):
		number, factor = strings.TrimSuffix(number, "M"), 1e6
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v > 0 && v*factor < 1e12) {
		return fmt.Errorf("%q is no bitrate: give bits a second, such as 2500k or 2.5M", text)
	}
	*b = bitrate(v*factor + 0.5)
	return nil
}
