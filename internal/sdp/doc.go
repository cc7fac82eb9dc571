// Package sdp reads the SDP that WHIP and WHEP clients send: offers ([ParseOffer], RFC 8866 and RFC 9143), and the ICE
// fragments that follow them ([ParseFragment], RFC 8840).
//
// github.com/pion/sdp parses the syntax. An [Offer] is bounded and checked, its names are folded, and session-level
// attributes are applied to the sections, so that sessions can negotiate without looking at the text again. The bytes
// come from outside, so nothing in this package panics.
//
// An [Answer] is written with the parts that broadcasters' and viewers' sessions share: refused sections, codecs,
// transport and candidates. What a session accepts is decided in packages ingest and egress.
package sdp
