package bench

import (
	"runtime"
	"time"
)

// Report holds the results of a run. Times are in milliseconds unless their names say otherwise.
type Report struct {
	WHEP []string `json:"whep"`
	// Relay is the transport to the server's relay; empty if viewers connected directly.
	Relay string `json:"relay,omitempty"`
	// Published is nil if someone else published.
	Published *Stream  `json:"published,omitempty"`
	Viewers   Viewers  `json:"viewers"`
	Packets   Packets  `json:"packets"`
	Readers   *Readers `json:"readers,omitempty"`
	// Latency is from the publisher's send to a viewer's receipt.
	Latency *Spread `json:"addedLatencyMs,omitempty"`
	// Meanwhile is the latency of the readers while others join.
	Meanwhile *Spread `json:"addedLatencyWhileJoiningMs,omitempty"`
	// Servers is what each server has, under the host and port of its sessions.
	Servers  []ServerShare `json:"servers"`
	Server   *Server       `json:"server,omitempty"` // with --pid
	Bench    Bench         `json:"bench"`
	Warnings []string      `json:"warnings"`
}

// Stream is the synthetic stream as it was sent.
type Stream struct {
	BitsPerSecond    int     `json:"bitsPerSecond"` // of the video, as configured
	FPS              int     `json:"fps"`
	KeyframeInterval float64 `json:"keyframeIntervalSeconds"`
	IgnoresPLI       bool    `json:"ignoresPLI"`
	PLIs             uint64  `json:"plis"` // that the server sent
	// Nacked counts packets that the server missed and asked for again. Each repair adds to the latency.
	Nacked uint64 `json:"nackedPackets"`
}

// Viewers says how joining went.
type Viewers struct {
	Asked          int            `json:"asked"`
	Joined         int            `json:"joined"`
	Failures       map[string]int `json:"failures"`  // by reason
	Lost           map[string]int `json:"lost"`      // sessions that ended early, by reason
	Redirects      int            `json:"redirects"` // that were followed
	JoinsPerSecond float64        `json:"joinsPerSecond"`
	Ciphers        map[string]int `json:"ciphers"`
	Connected      Spread         `json:"connectedMs"`     // from the request to the keys
	FirstKeyframe  Spread         `json:"firstKeyframeMs"` // from the request to the last packet of the first key frame
}

// ServerShare is one server's part of the viewers. The latency of an edge less that of the origin is what the hop adds.
type ServerShare struct {
	Host    string  `json:"host"`
	Viewers int     `json:"viewers"`
	Latency *Spread `json:"addedLatencyMs,omitempty"`
}

// Packets counts packets in the measured time, over all viewers.
type Packets struct {
	Seconds   float64 `json:"seconds"`
	Expected  uint64  `json:"expected"`  // published, or seen by a reader, times viewers; 0: not known
	Forwarded uint64  `json:"forwarded"` // that arrived at this machine
	PerSecond float64 `json:"perSecond"`
	Loss      float64 `json:"lossPercent"`
}

// Readers is what the viewers that read everything received in the measured time.
type Readers struct {
	Viewers     int     `json:"viewers"`
	Expected    uint64  `json:"expected"` // by RTP sequence numbers
	Lost        uint64  `json:"lost"`
	Loss        float64 `json:"lossPercent"`
	Published   uint64  `json:"publishedVideo"` // video packets, times readers
	Missing     uint64  `json:"missingVideo"`   // of them, including those that the server left out on purpose
	MissingRate float64 `json:"missingVideoPercent"`
}

// Spread holds percentiles of times.
type Spread struct {
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	Max     float64 `json:"max"`
	Samples uint64  `json:"samples"`
}

// Server is the server's process. See docs/performance.md for what the figures contain.
type Server struct {
	PID                       int     `json:"pid"`
	CPUMicrosPerPacket        float64 `json:"cpuMicrosPerPacket"`
	Cores                     float64 `json:"cores"`
	CoresWithoutViewers       float64 `json:"coresWithoutViewers"`
	CPUMillisPerJoin          float64 `json:"cpuMillisPerJoin"`
	RSS                       uint64  `json:"rssBytes"`
	RSSPerViewer              float64 `json:"rssPerViewerBytes"`
	Threads                   int     `json:"threads"`
	VoluntarySwitchesPerSec   float64 `json:"voluntarySwitchesPerSecond"`
	InvoluntarySwitchesPerSec float64 `json:"involuntarySwitchesPerSecond"`
}

// Bench is this process.
type Bench struct {
	Cores       float64 `json:"cores"`
	MachineCPUs int     `json:"machineCPUs"`
	// OtherCores is what all other processes of this machine use (Linux). Without --pid this includes the server.
	OtherCores    float64 `json:"otherCores"`
	Undecryptable uint64  `json:"undecryptable"` // packets that failed authentication
	Repairs       uint64  `json:"repairs"`       // retransmissions that arrived without a request
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func spreadOf(times []time.Duration) Spread {
	return Spread{
		P50:     millis(percentileOf(times, 50)),
		P99:     millis(percentileOf(times, 99)),
		Max:     millis(percentileOf(times, 100)),
		Samples: uint64(len(times)),
	}
}

// spread returns nil if nothing was counted.
func (h *histogram) spread() *Spread {
	n := h.count.Load()
	if n == 0 {
		return nil
	}
	return &Spread{
		P50:     millis(h.percentile(50)),
		P99:     millis(h.percentile(99)),
		Max:     millis(h.percentile(100)),
		Samples: n,
	}
}

func failed(failures map[string]int) (n int) {
	for _, count := range failures {
		n += count
	}
	return n
}

func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// fill fills in the report after everything has been measured.
func (r *run) fill() {
	out, c := r.report, r.audience
	out.WHEP, out.Relay = r.cfg.WHEP, string(r.cfg.Relay)
	if r.publisher != nil {
		out.Published = &Stream{
			BitsPerSecond: r.cfg.Bitrate, FPS: r.cfg.FPS, KeyframeInterval: r.cfg.KeyframeInterval.Seconds(),
			IgnoresPLI: r.cfg.IgnorePLI, PLIs: r.publisher.plis.Load(), Nacked: r.publisher.nacks.Load(),
		}
	}
	joined := len(c.present())
	out.Viewers = Viewers{
		Asked: c.joins.asked, Joined: joined,
		Redirects: c.joins.followed, Failures: c.joins.failures, Lost: c.lost(), Ciphers: c.joins.ciphers,
		Connected: spreadOf(c.joins.connects), FirstKeyframe: spreadOf(c.joins.starts),
	}
	if took := c.joins.last - c.joins.first; took > 0 {
		out.Viewers.JoinsPerSecond = float64(c.joins.ramp-min(failed(c.joins.failures), c.joins.ramp)) / took.Seconds()
	}
	out.Packets = Packets{
		Seconds:   r.span.Seconds(),
		Expected:  r.expected,
		Forwarded: r.received,
		PerSecond: float64(r.received) / r.span.Seconds(),
		Loss:      percent(r.expected-min(r.received, r.expected), r.expected),
	}
	if n := len(r.readersOf()); n > 0 {
		o := r.readers
		lost := o.expected - o.seen
		out.Readers = &Readers{Viewers: n, Expected: o.expected, Lost: lost, Loss: percent(lost, o.expected)}
		if r.publisher != nil && o.seenStamps > 0 {
			out.Readers.Published, out.Readers.Missing = o.published, o.published-o.seenStamps
			out.Readers.MissingRate = percent(out.Readers.Missing, o.published)
		}
	}
	out.Servers = c.perServer()
	out.Latency, out.Meanwhile = c.latency.spread(), c.meanwhile.spread()
	if out.Latency == nil && r.publisher != nil {
		r.warn("no stamp of the publisher arrived: the server changes the media, so the latency is not known")
	}
	out.Bench = Bench{
		Cores: r.own.Seconds() / r.span.Seconds(), MachineCPUs: runtime.NumCPU(),
		Undecryptable: c.undecryptable.Load(), Repairs: c.repairs.Load(),
	}
	r.fillServer(joined)
	if r.machine > 0 {
		others := r.machine - r.own
		if r.cfg.PID > 0 {
			others -= r.after.cpu - r.before.cpu
		}
		out.Bench.OtherCores = max(others.Seconds(), 0) / r.after.at.Sub(r.before.at).Seconds()
	}
	r.judge()
	if out.Warnings == nil {
		out.Warnings = []string{}
	}
}

func (r *run) fillServer(joined int) {
	if r.cfg.PID == 0 {
		return
	}
	watched := r.after.at.Sub(r.before.at).Seconds()
	cpu := r.after.cpu - r.before.cpu
	s := &Server{
		PID: r.cfg.PID, Cores: cpu.Seconds() / r.span.Seconds(), CoresWithoutViewers: r.idle,
		RSS: r.after.rss, Threads: r.after.threads,
	}
	if r.received > 0 {
		s.CPUMicrosPerPacket = float64(cpu.Microseconds()) / float64(r.received)
	}
	// What joining cost, without the cost of the broadcaster and of forwarding while others join. Forwarding a packet
	// is taken to cost as much as in the measured time.
	forwarding := 0.0
	if r.received > 0 {
		forwarding = (cpu.Seconds() - r.idle*watched) / float64(r.received)
	}
	if n := r.audience.joins.ramp; n > 0 {
		spent := r.joined.cpu.Seconds() - r.idle*r.joinTime.Seconds() - forwarding*float64(r.joinPackets)
		s.CPUMillisPerJoin = max(spent, 0) * 1000 / float64(n)
	}
	if joined > 0 {
		s.RSSPerViewer = (float64(r.after.rss) - float64(r.alone.rss)) / float64(joined)
	}
	switched := r.after.switchesSince(r.before)
	s.VoluntarySwitchesPerSec = float64(switched.voluntary) / watched
	s.InvoluntarySwitchesPerSec = float64(switched.involuntary) / watched
	r.report.Server = s
}

// judge warns if something other than the server may have determined the results.
func (r *run) judge() {
	out := r.report
	if s := out.Server; s != nil && out.Bench.Cores > s.Cores/2 && out.Bench.Cores > 0.1 {
		r.warn("the viewers themselves use %.2f cores, which is much compared to the server's %.2f",
			out.Bench.Cores, s.Cores)
	}
	if s := out.Server; s != nil && out.Bench.OtherCores > 0.2*float64(out.Bench.MachineCPUs) {
		r.warn("other programs use %.2f of the machine's %d CPUs: latency and CPU time are higher than on an idle machine",
			out.Bench.OtherCores, out.Bench.MachineCPUs)
	}
	used := out.Bench.Cores
	if out.Server != nil {
		used += out.Server.Cores
	}
	if used > 0.9*float64(out.Bench.MachineCPUs) {
		r.warn("this machine is fully loaded (%.2f of %d CPUs): latency and loss are not the server's alone",
			used, out.Bench.MachineCPUs)
	}
	if r.readers.noRoom > 0 {
		r.warn("%d packets for the readers arrived when the sockets' buffers were full: they count as lost, "+
			"but the server did not lose them (raise net.core.rmem_max)", r.readers.noRoom)
	}
	if len(out.Viewers.Lost) > 0 {
		r.warn("sessions ended early: %v", out.Viewers.Lost)
	}
	if out.Packets.Expected > 0 && out.Packets.Forwarded > out.Packets.Expected+out.Packets.Expected/100 {
		r.warn("more packets arrived than were published: the server adds its own (padding, retransmissions)")
	}
}
