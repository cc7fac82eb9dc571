// Package doctor finds out what will not work, and says so in plain words with the remedy.
//
// [Machine] looks at a server's own machine and configuration, also while the server runs: are
// the ports free or ours (ports.go), will clients be told addresses that they can reach (addresses.go), are the certificates
// good (certificate.go), does the clock go right (clock.go), does the system allow what many
// viewers need (limits.go).
//
// [Server] looks at a running server from outside, the way a client comes to it: name, TCP, TLS and HTTP
// (outside.go), then media, by real sessions: straight over UDP (media.go), through the relay
// over each of its transports (relay.go), and as a broadcaster over TCP (publish.go). When a stage fails, those that
// rest on it are skipped.
//
// Each finding is a [Check]. A check waits for what it asks with a deadline, so that a whole
// run is over in about half a minute whatever is broken.
package doctor
