// Package whip is a WHIP client (RFC 9725) on pion/webrtc: it offers audio and video to a
// server, sends frames as RTP with sender reports, repairs what gets lost, and takes its
// session down when it leaves. [Dial] makes one [Session]; [Publish] keeps one up.
package whip
