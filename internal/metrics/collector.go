package metrics

import (
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"siaran"
	"siaran/cluster"
	"siaran/egress"
	"siaran/ingest"
	"siaran/internal/load"
	"siaran/internal/tlsmux"
	"siaran/internal/tracing"
	"siaran/internal/webhook"
	"siaran/listing"
	"siaran/listing/firestore"
	"siaran/mediaport"
	"siaran/turn"
	"siaran/web"
	"siaran/web/admission"
)

// Build says what runs.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	System   string `json:"system"`
}

// Config is where the numbers come from. Those that may be nil belong to parts that a server need not have.
type Config struct {
	Build     Build
	Hub       *siaran.Hub
	Ingest    func() ingest.Stats
	Egress    func() egress.Stats
	Port      func() mediaport.Stats
	Web       func() web.Stats
	Load      func() load.State
	Reporter  func() listing.Stats
	Door      func() tlsmux.Stats
	Relay     func() turn.Stats      // nil: there is no relay
	Cluster   func() cluster.Stats   // nil: there is no parent
	Firestore func() firestore.Stats // nil: the listing is another one
	Webhooks  func() webhook.Stats   // nil: there are none
	Admission func() admission.Stats // nil: no site is asked
	Tracing   func() tracing.Stats   // nil: nobody wants traces
	Streams   int                    // of how many streams the names are shown
}

// New makes a registry with all metrics of a server and of its process.
func New(cfg Config) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		&collector{cfg},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// collector implements prometheus.Collector.
type collector struct{ cfg Config }

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range families {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	defer func() { // it runs in a goroutine of the registry, where a panic would end the process
		if r := recover(); r != nil {
			ch <- prometheus.NewInvalidMetric(buildInfo.desc, fmt.Errorf("counting has failed: %v", r))
		}
	}()
	o := output(ch)
	b := c.cfg.Build
	put(o, buildInfo, 1, b.Version, b.Revision, b.Go)
	s := c.snapshot()
	collectHub(o, s.hub)
	collectIngest(o, s.in)
	collectJoins(o, s.out)
	collectEgress(o, s.out)
	collectPort(o, s.port)
	collectWeb(o, s.web, s.door)
	collectLoad(o, c.cfg.Load(), s.web.TooBusy)
	collectListing(o, s.listing)
	if s.relay != nil {
		collectRelay(o, *s.relay)
	}
	if s.cluster != nil {
		collectCluster(o, *s.cluster)
	}
	if c.cfg.Firestore != nil {
		f := c.cfg.Firestore()
		put(o, firestoreDocuments, f.Reads, "read")
		put(o, firestoreDocuments, f.Writes, "write")
		put(o, firestoreDocuments, f.Deletes, "delete")
	}
	if c.cfg.Webhooks != nil {
		collectWebhooks(o, c.cfg.Webhooks())
	}
	if c.cfg.Admission != nil {
		collectAdmission(o, c.cfg.Admission())
	}
	if c.cfg.Tracing != nil {
		t := c.cfg.Tracing()
		put(o, traceSpans, t.Sent, "sent")
		put(o, traceSpans, t.Refused, "refused")
		put(o, traceSpans, t.Full, "full")
	}
	collectStreams(o, c.cfg.Hub, c.cfg.Streams)
	for _, l := range s.limits() {
		put(o, limitUsed, l.used, l.name)
		put(o, limitMost, l.most, l.name)
	}
}

// collectStreams writes about the streams that have been live longest.
func collectStreams(o output, hub *siaran.Hub, most int) {
	if most <= 0 {
		return
	}
	states := hub.States()
	for _, s := range states[:min(most, len(states))] {
		name := string(s.Stream)
		put(o, streamViewers, s.Viewers, name)
		put(o, streamLive, truth(s.Status == siaran.StatusLive), name)
		written, ok := hub.Written(s.Stream)
		if !ok {
			continue
		}
		put(o, streamPackets, written.Packets, name)
		put(o, streamBytes, written.Bytes, name)
		put(o, streamLost, written.Lost, name)
		put(o, streamKeyframes, written.Keyframes, name)
	}
}

func collectWeb(o output, w web.Stats, door tlsmux.Stats) {
	for _, r := range w.Routes {
		for code, n := range r.Codes {
			put(o, httpRequests, n, r.Method, r.Route, strconv.Itoa(code))
		}
		putHistogram(o, httpSeconds, r.Took, r.Method, r.Route)
	}
	putTally(o, placements, w.Placements, web.Placements)
	put(o, eventStreams, w.Followers, "live_updates")
	put(o, eventStreams, w.ViewerStreams, "viewer_events")
	put(o, connections, door.Open-door.Opening, "open")
	put(o, connections, door.Opening, "opening")
	put(o, connectionsRefused, door.Refused)
	put(o, tlsFailed, door.Failed)
}

// collectLoad writes how busy the server is, and whom it has refused for that.
func collectLoad(o output, s load.State, refused map[string]map[string]uint64) {
	put(o, openTo, truth(s.Viewers == ""), "viewers")
	put(o, openTo, truth(s.Children == ""), "servers")
	for _, cause := range load.Causes {
		put(o, loadOf, s.Fills[cause], string(cause))
		for who, counts := range refused {
			put(o, refusedBusy, counts[string(cause)], who, string(cause))
		}
	}
}

func collectListing(o output, l listing.Stats) {
	for call, n := range l.Calls {
		put(o, listingCalls, n, call)
		put(o, listingErrors, l.Errors[call], call)
	}
	putHistogram(o, listingSeconds, l.Took)
	put(o, listingFailing, truth(l.Failing))
	put(o, listingLag, seconds(l.Lag))
	put(o, listingWaiting, l.Waiting)
}

func collectCluster(o output, s cluster.Stats) {
	put(o, pulls, s.Pulls)
	put(o, pullsBegan, s.Began)
	put(o, pullsFailed, s.Failed)
}
