// Package egress serves viewers: WHEP offer in, answer out, and from then on media.
//
// A viewer's network side is not a PeerConnection but a link of our own, put together from
// pion's parts: ICE lite over the one shared [Socket] (ice.go), DTLS with a look at the
// ClientHello first, so that AES-GCM is used where the viewer has it (handshake.go,
// hello.go), and SRTP contexts that encrypt straight into the packet that is sent (link.go).
//
// Workers, about one a CPU, own the viewers. A viewer belongs to one worker for life, so
// what it needs for sending is touched by one goroutine and has no lock (worker.go). A
// worker is woken when a layer that it serves has new packets, and sends to each of its
// viewers all that is new to it. What a viewer reports (RTCP) goes to its worker as well.
//
// A viewer is started from the layer's cached key frame and then brought up to the live
// edge, faster than real time and paced (catchup.go, pacer.go). Its sequence numbers and
// timestamps are its own (sequence.go). What it lost is sent again out of the layer's ring.
// One that cannot keep up skips to the next key frame, alone.
package egress
