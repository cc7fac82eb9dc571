// Package bench measures how many viewers a WHIP and WHEP server can serve. It works with any such server.
//
// [Run] goes through phases. A [publisher] sends a synthetic stream whose packets say when they were sent
// (publisher.go, picture.go, stamp.go), unless a stream is live already. The audience (audience.go) joins at a steady
// rate: each viewer exchanges offer and answer over HTTP (signal.go, offer.go, answer.go), finds the server by ICE
// (ice.go), agrees on keys by DTLS (handshake.go) and counts packets until the first key frame is complete (viewer.go,
// media.go). A measured time of steady watching follows, and then all viewers leave.
//
// A viewer must cost much less than what the server spends on it, or the bench would measure the viewer. So a viewer is
// not a PeerConnection: it has a socket, a few hundred bytes of state and no goroutine. Once it has its first key
// frame, the kernel drops most of its media (filter_linux.go) and counts what it dropped. Every 64th packet is still
// decrypted, for the latency. A few viewers, the readers, read everything and know exactly what was lost. Two threads
// read all sockets (pump_linux.go), and one loop runs all timers. On systems other than Linux there is no filter, and
// the server's process cannot be measured (pump_other.go, process_other.go).
//
// With [Config.Relay] viewers connect through the server's relay. Over UDP they use the same sockets, with four more
// bytes a packet (relay.go). Over TCP and TLS each has a connection and a goroutine, which reads everything
// (relay_dial.go).
package bench
