// Package whip is a WHIP client (RFC 9725) on pion/webrtc: it offers audio and video to a
// server, sends frames as RTP with sender reports, retransmits lost packets, and ends its
// session when it leaves. [Dial] makes one [Session]; [Publish] keeps one up.
package whip
