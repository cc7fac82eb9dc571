// Package clip reads encoded media from files, without decoding it, and plays it at the
// pace of its own timestamps: video from IVF (VP8, VP9, AV1) or H264 Annex B, audio from
// OGG (Opus). One or two files make a [Clip], [Clip.Play] hands out its frames when they are due.
package clip
