// Package admin serves what is for operators alone, on a port of its own: /metrics, /debug/pprof, /debug/sessions and
// /debug/build.
//
// On loopback nobody is asked for a token, so that Prometheus on the same machine and a tunnel (ssh -L) just work. But
// whoever can reach loopback is not always who should: a page in a browser on the machine can send requests there, and
// with a name of its own that it points at 127.0.0.1 even read the answers. So requests there must be for localhost or
// an address, and must not come from another site. On any other address, each request needs an admin token, and
// one for metrics a token for metrics.
//
// All work is bounded: few connections, few scrapes at a time, which share what was gathered within a second, and one
// profile. What there is no room for gets 503, and media goes on.
package admin
