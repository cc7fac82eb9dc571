package bench

import "math"

// The synthetic picture is H264 Constrained Baseline that any decoder can show: key frames of grey macroblocks, P
// frames that change nothing, and in both some macroblocks of raw samples (I_PCM), which fill the bitrate and carry the
// stamps. Each slice is one NAL unit and one packet, so that a server which repacks the media produces the same
// packets.
const (
	pictureWidth  = 1280 // pixels
	pictureHeight = 720
	blocks        = pictureWidth / 16 * pictureHeight / 16 // macroblocks
	maxPayload    = 1172                                   // bytes; with RTP header and cipher a packet is at most 1200
	rawBlock      = 384                                    // bytes of an I_PCM macroblock
	rawCost       = rawBlock + 2                           // with the bits before it
	sliceCost     = 14                                     // bytes of a slice in addition to macroblocks, at most
	maxRaw        = (maxPayload - sliceCost) / rawCost     // raw macroblocks in a slice
	keyframeScale = 8                                      // size of a key frame in P frames
)

// slice is one NAL unit. Its stamp goes at stampAt.
type slice struct {
	nal     []byte
	stampAt int
}

// picture makes frames.
type picture struct {
	frameBytes int // of a P frame
	owed       int // bytes by which the frames so far were too small
	frameNum   uint32
	idr        uint32
}

// newPicture sizes frames so that they add up to the bitrate, with one key frame in every so many frames.
func newPicture(bitrate, fps, every int) *picture {
	perFrame := float64(bitrate) / 8 / float64(fps)
	return &picture{frameBytes: int(math.Round(perFrame * float64(every) / float64(every-1+keyframeScale)))}
}

// parameterSets returns SPS and PPS in one aggregation packet (RFC 6184 section 5.7.1).
func parameterSets() []byte {
	sps, pps := sequenceParameterSet(), pictureParameterSet()
	b := []byte{0x78, 0, byte(len(sps))}
	b = append(b, sps...)
	b = append(b, 0, byte(len(pps)))
	return append(b, pps...)
}

// next returns the slices of the next frame.
func (p *picture) next(key bool) []slice {
	if key {
		return p.keyframe()
	}
	p.frameNum = (p.frameNum + 1) & 0xff
	want := p.frameBytes + p.owed
	full, rest := want/(maxRaw*rawCost+sliceCost), want%(maxRaw*rawCost+sliceCost)
	raws := make([]int, full, full+1)
	for i := range raws {
		raws[i] = maxRaw
	}
	if n := (rest - sliceCost + rawCost/2) / rawCost; n > 0 || full == 0 {
		raws = append(raws, max(n, 1))
	}
	raws = raws[:min(len(raws), blocks/maxRaw/2)]
	slices := make([]slice, len(raws))
	for i, raw := range raws {
		first, end := i*blocks/len(raws), (i+1)*blocks/len(raws)
		slices[i] = p.changeSlice(first, end-first, raw)
	}
	p.settle(want, slices)
	return slices
}

// keyframe packs grey macroblocks, of a byte each, to complete the picture, and as many raw ones as the bitrate needs.
func (p *picture) keyframe() []slice {
	p.frameNum, p.idr = 0, (p.idr+1)&7
	want := keyframeScale*p.frameBytes + p.owed
	var slices []slice
	size := 0
	for first := 0; first < blocks; {
		left := blocks - first
		// As many raw ones as possible, provided that the rest of the picture fits into the wanted size.
		slicesLeft := max((want-size)/maxPayload, 1)
		raw := 1
		for raw < maxRaw && left-raw <= (slicesLeft-1)*greyRoom(maxRaw-1)+greyRoom(raw+1) {
			raw++
		}
		grey := min(left-raw, greyRoom(raw))
		if raw < maxRaw { // spread them
			grey = min(grey, max(left/slicesLeft-raw+1, 0))
		}
		if size+maxPayload >= want { // the last wanted slice takes all that is left and fits
			grey = min(max(left-raw, 0), greyRoom(raw))
		}
		if left < raw {
			raw, grey = left, 0
		}
		s := p.keySlice(first, grey, raw)
		slices = append(slices, s)
		size += len(s.nal)
		first += grey + raw
	}
	p.settle(want, slices)
	return slices
}

// greyRoom returns how many grey macroblocks fit into a slice with so many raw ones.
func greyRoom(raw int) int { return max(maxPayload-sliceCost-raw*rawCost, 0) }

// settle carries the difference between the wanted and the real size over to the next frames, within bounds.
func (p *picture) settle(want int, slices []slice) {
	size := 0
	for _, s := range slices {
		size += len(s.nal)
	}
	p.owed = min(max(want-size, -keyframeScale*p.frameBytes), 2*p.frameBytes)
	if p.owed < -p.frameBytes/2 {
		p.owed = max(p.owed, -p.frameBytes/2) // a key frame that is too large must not make the next frames empty
	}
}

// keySlice returns a slice of an IDR picture (H.264 section 7.3.3).
func (p *picture) keySlice(first, grey, raw int) slice {
	w := newBits(0x65)
	w.unsigned(uint32(first))
	w.unsigned(7) // all slices of the picture are I
	w.unsigned(0) // picture parameter set
	w.put(p.frameNum, 8)
	w.unsigned(p.idr)
	w.put(0, 2)   // reference marking: nothing special
	w.unsigned(0) // quantiser
	w.unsigned(1) // no deblocking
	for range grey {
		w.unsigned(3) // I_16x16, predicted from the mean, no residual
		w.unsigned(0) // chroma likewise
		w.unsigned(0) // same quantiser
		w.put(1, 1)   // no coefficients
	}
	at := 0
	for i := range raw {
		w.unsigned(25) // I_PCM
		if start := w.raw(first + i); i == 0 {
			at = start
		}
	}
	return slice{w.finish(), at}
}

// changeSlice returns a slice of a P picture: raw macroblocks, and then unchanged ones.
func (p *picture) changeSlice(first, count, raw int) slice {
	w := newBits(0x41)
	w.unsigned(uint32(first))
	w.unsigned(5) // all slices of the picture are P
	w.unsigned(0)
	w.put(p.frameNum, 8)
	w.put(0, 3)   // references unchanged, marking: nothing special
	w.unsigned(0) // quantiser
	w.unsigned(1) // no deblocking
	at := 0
	for i := range raw {
		w.unsigned(0)      // none skipped
		w.unsigned(5 + 25) // I_PCM
		if start := w.raw(first + i); i == 0 {
			at = start
		}
	}
	if count > raw {
		w.unsigned(uint32(count - raw))
	}
	return slice{w.finish(), at}
}

func sequenceParameterSet() []byte {
	w := newBits(0x67)
	w.put(0x42e01f, 24) // Constrained Baseline, level 3.1
	w.unsigned(0)
	w.unsigned(4) // frame numbers have 8 bits
	w.unsigned(2) // output order is decoding order
	w.unsigned(1) // one reference frame
	w.put(0, 1)
	w.unsigned(pictureWidth/16 - 1)
	w.unsigned(pictureHeight/16 - 1)
	w.put(0b1100, 4) // frames only, direct 8x8, no cropping, no VUI
	return w.finish()
}

func pictureParameterSet() []byte {
	w := newBits(0x68)
	w.unsigned(0)
	w.unsigned(0)
	w.put(0, 2)   // CAVLC
	w.unsigned(0) // one slice group
	w.unsigned(0)
	w.unsigned(0)
	w.put(0, 3)   // no weighted prediction
	w.unsigned(0) // quantisers
	w.unsigned(0)
	w.unsigned(0)
	w.put(0b100, 3) // slices say whether they deblock
	return w.finish()
}
