package codec

import "siaran"

// keyframeFinder is the part of a framer that differs from codec to codec.
type keyframeFinder interface {
	// find reads one packet. It leaves [siaran.Frame.End] to the caller, and LayerEnd where the marker says it.
	find(payload []byte, timestamp int64) siaran.Frame
	lost()
}

// NewFramer makes the framer for RTP payloads of a codec. It never panics, whatever the bytes. A packet counts as the
// first of a key frame only when there is no doubt.
func NewFramer(name siaran.CodecName) siaran.Framer {
	switch name {
	case siaran.H264:
		return &videoFramer{&nalFinder{grammar: h264Grammar{}}}
	case siaran.H265:
		return &videoFramer{&nalFinder{grammar: h265Grammar{}}}
	case siaran.VP8:
		return &videoFramer{vp8Finder{}}
	case siaran.VP9:
		return &videoFramer{&vp9Finder{}}
	case siaran.AV1:
		return &videoFramer{&av1Finder{}}
	}
	return audioFramer{}
}

// audioFramer is for audio, where every packet is a frame that can be decoded by itself.
type audioFramer struct{}

func (audioFramer) Next([]byte, int64, bool) siaran.Frame {
	return siaran.Frame{Keyframe: true, End: true, Place: siaran.Place{LayerStart: true, LayerEnd: true}}
}

func (audioFramer) Lost() {}

type videoFramer struct{ finder keyframeFinder }

func (f *videoFramer) Next(payload []byte, timestamp int64, marker bool) siaran.Frame {
	frame := f.finder.find(payload, timestamp)
	frame.End = marker
	frame.LayerEnd = frame.LayerEnd || marker
	frame.LayerStart = frame.LayerStart || frame.Keyframe
	return frame
}

func (f *videoFramer) Lost() { f.finder.lost() }

// saneSize returns the size, or 0 and 0 when no picture has such a size.
func saneSize(width, height int) (int, int) {
	const limit = 1 << 14
	if width < 1 || width > limit || height < 1 || height > limit {
		return 0, 0
	}
	return width, height
}
