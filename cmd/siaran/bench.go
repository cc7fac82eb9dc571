package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"time"

	"siaran/cmd/siaran/server"
	"siaran/internal/bench"
)

type benchCommand struct {
	WHEP      []string `name:"whep" required:"" sep:"none" placeholder:"URL"`
	WHIP      string   `name:"whip" placeholder:"URL"`
	Token     string   `placeholder:"TOKEN"`
	WHEPToken string   `name:"whep-token" placeholder:"TOKEN"`

	Viewers  int           `default:"200"`
	Duration time.Duration `default:"20s"`
	PID      int           `name:"pid" placeholder:"PROCESS"`
	JSON     bool          `name:"json"`

	Ramp        float64       `default:"50"`
	Parallel    int           `default:"256"`
	JoinTimeout time.Duration `name:"join-timeout" default:"15s"`
	Settle      time.Duration `default:"2s"`
	Readers     int           `default:"4"`
	FullReadAll bool          `name:"full-read-all"`
	Cipher      bench.Cipher  `default:"gcm" enum:"gcm,cm"`

	Relay bench.Relay `enum:",udp,tcp,tls" default:"" placeholder:"udp|tcp|tls"`

	Bitrate          server.Bitrate `default:"2500k"`
	FPS              int            `name:"fps" default:"30"`
	KeyframeInterval time.Duration  `name:"keyframe-interval" default:"2s"`
	IgnorePLI        bool           `name:"ignore-pli"`
}

// fewReaders is a number of viewers reading everything that one CPU can handle easily.
const fewReaders = 32

// Run measures and prints a report.
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
	elsewhere := slices.ContainsFunc(b.WHEP, func(whep string) bool { return !sameHost(b.WHIP, whep) })
	if cfg.WHEPToken == "" && (b.WHIP == "" || !elsewhere) {
		cfg.WHEPToken = b.Token
	}
	report, err := bench.Run(ctx, cfg)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return errors.New("interrupted: all sessions have ended, and nothing was measured")
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

// sameHost reports whether both URLs have the same scheme and host, so that a token for one may be sent to the other.
func sameHost(a, b string) bool {
	one, err := url.Parse(a)
	if err != nil {
		return false
	}
	other, err := url.Parse(b)
	return err == nil && one.Scheme == other.Scheme && one.Host == other.Host
}
