// Package measure has what packages count with, for Prometheus to read. It knows nothing of Prometheus, so that
// packages that measure need not either.
package measure
