// Package doctor finds out what will not work, and says so in plain words with the remedy.
//
// [Machine] checks a server's own machine and configuration, also while the server is running: whether the ports are
// free or in use by the server (ports.go), whether clients are given addresses that they can reach (addresses.go),
// whether the certificates are valid (certificate.go) and the clock is right (clock.go), and whether the system
// allows what many viewers need (limits.go).
//
// [Server] checks a running server from outside, as a client reaches it: name, TCP, TLS and HTTP (remote.go), then
// media, in real sessions: directly over UDP (media.go), through the relay over each of its transports (relay.go),
// and as a broadcaster over TCP (publish.go). When a stage fails, those that need it are skipped.
//
// Each finding is a [Check]. A check waits with a deadline, so that a whole run takes about half a minute at most,
// whatever is broken.
package doctor
