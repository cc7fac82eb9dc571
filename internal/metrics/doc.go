// Package metrics turns the counters of all packages into metrics for Prometheus. The packages know nothing of it: each
// has a snapshot of its own (Stats), and a Collector asks for all of them when somebody scrapes.
//
// Labels have few values, all of them the program's own: no stream, address, session or account is one. Names of
// streams come only if the operator wants some (Config.Streams), and then of no more streams than that.
//
// docs/metrics.md lists every metric, and a test holds the two together.
package metrics
