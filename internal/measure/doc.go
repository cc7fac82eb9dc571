// Package measure has what packages count with, for Prometheus to read, and follow sessions with, for OpenTelemetry. It
// knows nothing of either, so that packages that measure need not.
package measure
