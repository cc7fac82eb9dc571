// Package bench measures how many viewers a WHIP and WHEP server carries, whoever made the server.
//
// [Run] goes through phases. A [publisher] sends a synthetic stream whose packets say when
// they were sent (publisher.go, picture.go, stamp.go), or there is a live stream already.
// The audience (audience.go) joins at a steady rate: each viewer trades offer and answer
// over HTTP (signal.go, offer.go, answer.go), finds the server by ICE (ice.go), agrees on
// keys by DTLS (handshake.go) and counts packets until the first key frame is whole
// (viewer.go, media.go). Then there is a measured time of steady watching, and all leave.
//
// A viewer must cost much less than what the server spends on it, or it is the viewer that is
// measured. So it is no PeerConnection: it has a socket, a few hundred bytes of state and no
// goroutine. Once it has its first key frame, the kernel drops most of its media
// (filter_linux.go) and counts what it dropped; every 64th packet is still decrypted, for the
// latency. A few viewers, the readers, read all and know exactly what was lost. Few threads
// read all sockets (pump_linux.go), and one loop keeps all timers. Systems other than Linux
// have neither the filter nor the look at the server's process (pump_other.go, process_other.go).
//
// With [Config.Relay] viewers come through the server's relay: over UDP by the same sockets with four more
// bytes a packet (relay.go), over TCP and TLS by a connection and a goroutine each, of which all is read (relay_dial.go).
package bench
