// Package codec reads the RTP payloads of H264, H265, VP8, VP9 and AV1 as far as the server has to: where a key frame
// begins, the size of its picture, the parameter sets that a decoder needs first, and the temporal and spatial layers.
//
// [NewFramer] makes the [siaran.Framer] of one layer. Each codec has its own keyframeFinder; H264 and H265 share one
// (nalFinder) over a grammar each, and keep the parameter sets of their encoder, because some encoders send them only
// once. [Descriptors] reads what broadcasters say of layers outside the payload. [JoinAV1] repairs AV1 packets that
// browsers would misread.
//
// The bytes come from outside, so nothing in this package panics or keeps more than a bounded amount of them.
package codec
