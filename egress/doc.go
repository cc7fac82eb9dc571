// Package egress serves viewers: it answers a WHEP offer and then sends media.
//
// A viewer's network side is not a PeerConnection but a link of our own, put together from pion's parts: ICE lite over
// the shared media port (ice.go), DTLS that prefers AES-GCM (handshake.go), and SRTP contexts that encrypt straight
// into the packet that is sent (link.go, seal.go).
//
// Media goes to addresses that have proven themselves. A right connectivity check makes a source (source.go); each
// source is asked back (question.go) and gets next to nothing until it has answered; the viewer's own DTLS and reports
// choose among the sources that have. An ICE restart adds sources, and leaves the selected one alone until one of them
// has proven itself (credentials.go). What DTLS gets to see of a handshake is bounded (dtlsconn.go). A finished
// connection is kept without a goroutine (idledtls.go).
//
// Workers, by default one for each CPU, own the viewers. A viewer belongs to one worker for life, so what it needs for
// sending is touched by one goroutine and has no lock (worker.go). A worker wakes when a layer that it serves has new
// packets, and sends each of its viewers everything that is new to it. A viewer's reports (RTCP) go to its worker as
// well.
//
// A viewer starts with the layer's cached key frame and is then brought up to the live edge, faster than real time and
// paced (track.go, pacer.go). Its sequence numbers and timestamps are its own (sequence.go, timeline.go). What it has
// lost is sent again from the layer's ring (repair.go), and its browser is asked to wait for that (hold.go). A viewer
// that cannot keep up skips to the next key frame, and one that loses much gets key frames only (lossgate.go); no other
// viewer notices.
//
// Where a video has layers, each viewer gets what its path carries, which is estimated from the viewer's feedback
// (estimate.go). What there is makes a ladder (ladder.go), and the viewer goes up and down it (switching.go).
// A selector leaves out the packets of higher layers (selector.go); how each packet went out is kept for repairs
// (sentlog.go), and picture ids are rewritten to continue (pictureid.go). A viewer may choose for itself (choice.go).
package egress
