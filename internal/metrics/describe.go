package metrics

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"siaran/internal/measure"
)

// family is a metric with its labels.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	row  string // of the table in docs/metrics.md
}

var families []family

var kindNames = map[prometheus.ValueType]string{
	prometheus.GaugeValue: "gauge", prometheus.CounterValue: "counter", prometheus.UntypedValue: "histogram",
}

func describe(kind prometheus.ValueType, name, help string, labels ...string) family {
	of := strings.Join(labels, ", ")
	row := fmt.Sprintf("| `%s` | %s | %s | %s |", name, kindNames[kind], of, help)
	f := family{prometheus.NewDesc(name, help, labels, nil), kind, row}
	families = append(families, f)
	return f
}

func gauge(name, help string, labels ...string) family {
	return describe(prometheus.GaugeValue, name, help, labels...)
}

func counter(name, help string, labels ...string) family {
	return describe(prometheus.CounterValue, name, help, labels...)
}

// histogram's kind is of no use: its metrics are made of snapshots.
func histogram(name, help string, labels ...string) family {
	return describe(prometheus.UntypedValue, name, help, labels...)
}

// output is where one scrape goes.
type output chan<- prometheus.Metric

type number interface {
	~int | ~int64 | ~uint64 | ~float64
}

// put writes one value.
func put[N number](o output, f family, value N, labels ...string) {
	o <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(value), labels...)
}

// putTally writes a value for each name that has been counted, and zero for those that have not.
func putTally(o output, f family, tally map[string]uint64, names []string, labels ...string) {
	for _, name := range names {
		put(o, f, tally[name], append([]string{name}, labels...)...)
	}
	for name, n := range tally {
		if !slices.Contains(names, name) {
			put(o, f, n, append([]string{name}, labels...)...)
		}
	}
}

// putHistogram writes a histogram of seconds.
func putHistogram(o output, f family, s measure.Snapshot, labels ...string) {
	buckets := make(map[float64]uint64, len(s.Bounds))
	total := uint64(0)
	for i, n := range s.Counts {
		total += n
		if i < len(s.Bounds) {
			buckets[s.Bounds[i].Seconds()] = total
		}
	}
	o <- prometheus.MustNewConstHistogram(f.desc, total, s.Sum.Seconds(), buckets, labels...)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func seconds(d time.Duration) float64 { return d.Seconds() }
