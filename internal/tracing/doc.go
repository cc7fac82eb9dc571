// Package tracing sends a trace of each session to an OpenTelemetry collector. Packages that know sessions tell a
// measure.Trace what happens; this one knows OpenTelemetry, and nothing else does.
//
// A span is made when its part is over, so that a session that lasts for hours keeps no span open, and a join can be
// looked at while its viewer watches. Spans wait in a queue that is bounded; what does not fit is dropped. Nothing that
// is traced waits for the collector.
package tracing
