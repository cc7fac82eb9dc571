// Package load says when a server should take no further viewers. Once a second it looks at what the server measures
// of itself, and closes it while the processors, the workers, the network or the system's buffers have too much to do:
// before those inside see it. It knows nothing of viewers, HTTP or other servers.
package load
