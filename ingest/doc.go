// Package ingest serves broadcasters: it answers their WHIP offers (RFC 9725), receives their media and writes it to
// the hub. It has no HTTP.
//
// [sdp.ParseOffer] reads the offer; here its tracks are chosen ([choose]) and answered ([writeAnswer]). Both are
// plain functions of the offer. pion/webrtc does the transport only: it sees a fixed description with the
// broadcaster's ICE and DTLS parameters and never the offer itself, so no offer can upset its negotiation of tracks.
//
// All broadcasters share one UDP socket. The [mux] gives each session its datagrams, and lets no session take the
// datagrams of another. Those whose network lets no UDP out come by TCP ([tcpListener]), which pion sees as one
// more candidate of the session.
//
// Decrypted packets leave the transport through its buffer factory, in the goroutine that decrypts. A [receiver]
// finds the layer that a packet belongs to (mid, rid, SSRC or payload type), unpacks retransmissions, waits a little
// for missing packets, and writes to the hub in order. The session's own goroutine sends feedback to the broadcaster
// (lost packets, reports, requests for key frames), and gives up on packets that do not come: it then writes those that
// waited behind them. Only that goroutine ends the session.
//
// pion knows nothing of ICE restarts (restart.go): it gets every check as if it were one of the first ICE session.
//
// A stream may also be pulled from another server by WHEP ([Server.Pull]). A pull is a session like a broadcaster's,
// from decrypted packets on, but we make the offer ([writeOffer]) and read the answer ([readAnswer]), its transport has
// [sockets] of its own, and the first packets decide what is broadcast ([pullStart]).
package ingest
