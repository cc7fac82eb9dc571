package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table writes the report for people.
func (r *Report) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	if p := r.Published; p != nil {
		row("stream", "%.1f Mbit/s, %d frames/s, a key frame every %g s; the server asked for %d key frames%s",
			float64(p.BitsPerSecond)/1e6, p.FPS, p.KeyframeInterval, p.PLIs, when(p.IgnoresPLI, " (ignored)"))
	}
	if p := r.Published; p != nil && p.Nacked > 0 {
		row("", "the server missed %d packets, which were sent again; that adds to the latency", p.Nacked)
	}
	v := r.Viewers
	row("viewers", "%d of %d joined, %.1f joins/s, %s%s", v.Joined, v.Asked, v.JoinsPerSecond, list(v.Ciphers),
		when(r.Relay != "", ", through the relay over "+strings.ToUpper(r.Relay)))
	if v.Redirects > 0 {
		row("redirects", "%d followed", v.Redirects)
	}
	if len(v.Failures) > 0 {
		row("failures", "%s", list(v.Failures))
	}
	if len(v.Lost) > 0 {
		row("lost sessions", "%s", list(v.Lost))
	}
	row("connected after", "%s", v.Connected)
	row("first key frame after", "%s", v.FirstKeyframe)
	p := r.Packets
	if p.Expected > 0 {
		row("packets", "%.0f/s in %.1f s: %d of %d, %.4f %% lost", p.PerSecond, p.Seconds, p.Forwarded, p.Expected, p.Loss)
	} else {
		row("packets", "%.0f/s in %.1f s: %d; without readers the loss is not known", p.PerSecond, p.Seconds, p.Forwarded)
	}
	if x := r.Readers; x != nil {
		row("readers", "%d: %d of %d packets lost on the way (%.4f %%)", x.Viewers, x.Lost, x.Expected, x.Loss)
		if x.Published > 0 {
			row("", "%d of %d published video packets never arrived (%.4f %%)", x.Missing, x.Published, x.MissingRate)
		}
	}
	if r.Latency != nil {
		row("added latency", "%s (%d samples)", *r.Latency, r.Latency.Samples)
	} else {
		row("added latency", "not known")
	}
	if len(r.Servers) > 1 {
		for _, s := range r.Servers {
			latency := "latency not known"
			if s.Latency != nil {
				latency = "added latency " + s.Latency.String()
			}
			row("at "+s.Host, "%d viewers, %s", s.Viewers, latency)
		}
	}
	if m := r.Meanwhile; m != nil {
		row("while others join", "%s (%d samples, of readers)", *m, m.Samples)
	}
	if s := r.Server; s != nil {
		row("server CPU", "%.2f µs per forwarded packet, %.2f cores (%.2f without viewers), %.2f ms per join",
			s.CPUMicrosPerPacket, s.Cores, s.CoresWithoutViewers, s.CPUMillisPerJoin)
		row("server memory", "%.1f MB, %.0f KB per viewer", float64(s.RSS)/(1<<20), s.RSSPerViewer/(1<<10))
		row("server threads", "%d, %.0f voluntary and %.0f involuntary context switches/s",
			s.Threads, s.VoluntarySwitchesPerSec, s.InvoluntarySwitchesPerSec)
	}
	row("this program", "%.2f cores of a machine with %d CPUs; all other programs use %.2f",
		r.Bench.Cores, r.Bench.MachineCPUs, r.Bench.OtherCores)
	for _, text := range r.Warnings {
		row("warning", "%s", text)
	}
	return t.Flush()
}

func (s Spread) String() string {
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, max %.1f ms", s.P50, s.P99, s.Max)
}

func when(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

// list formats counts by reason, sorted by reason.
func list(counts map[string]int) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d x %s", counts[key], key))
	}
	return strings.Join(parts, ", ")
}
