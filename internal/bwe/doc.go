// Package bwe estimates what the path to one viewer carries, from what the viewer reports: transport-wide congestion
// control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01) where it is negotiated, otherwise REMB
// (draft-alvestrand-rmcat-remb-03) and receiver reports (RFC 3550 section 6.4.1).
//
// The sender is one that forwards layers: it sends what a layer has, so most of the time it uses the path less than the
// path could carry, and its packets leave in bursts of whole frames. Two things follow.
//
//   - A packet that reaches the bottleneck before the one ahead has left waits in the queue, and the time between their
//     arrivals is the time that the bottleneck needs for it. Bytes by time over such packets are what it carries,
//     whether the queue is the rest of a frame or stands for long: see stretch.
//   - That there is no queue says nothing about what is not sent. The target grows only by what was delivered without a
//     queue: media, or probes that the sender is asked for: see prober.
//
// A queue that stands, or that will by what is on its way, lowers the target to what leaves the bottleneck at that
// moment, so a false alarm costs little. Heavy loss lowers it to what arrives. A queue that others fill is told from
// our own by how much of the bottleneck we get: see sharing. Everything that a viewer reports is bounded, and affects
// only the estimator of that viewer.
package bwe
