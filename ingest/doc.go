// Package ingest takes broadcasters in: it answers their WHIP offers (RFC 9725), receives
// their media and writes it to the hub. It knows no HTTP.
//
// An offer is read by the domain ([siaran.ParseOffer]); here its tracks are chosen ([choose])
// and answered ([writeAnswer]). Both are plain functions of the offer. pion/webrtc is given
// only what it is needed for, the transport: it sees a fixed description with the broadcaster's
// ICE and DTLS parameters and never the offer itself, so that nothing of its negotiation of
// tracks can go wrong or be provoked.
//
// All broadcasters share one UDP socket. The [mux] gives each session its datagrams, and lets
// no session take the datagrams of another. Those whose network lets no UDP out come by TCP
// ([streams]), which pion sees as one more candidate of the session.
//
// Decrypted packets come out of the transport by its buffer factory, in the goroutine that
// decrypts. A [receiver] finds the layer they belong to (mid, rid, SSRC or payload type), undoes
// retransmission, waits a little for what is missing and writes to the hub in order. What has to
// be said to the broadcaster (losses, reports, key frames) is said by the session's own
// goroutine, which is also the only one that ends the session.
package ingest
