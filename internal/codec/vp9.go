package codec

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
	"github.com/pion/rtp/codecs"

	"siaran"
)

// Flags of the payload descriptor of VP9 (RFC 9628 section 4.2).
const (
	vp9HasID     = 0x80 // I
	vp9Predicted = 0x40 // P: the frame needs an earlier picture
	vp9HasLayer  = 0x20 // L
	vp9Begins    = 0x08 // B: the first packet of a frame
	vp9Ends      = 0x04 // E: the last packet of a frame
	vp9Structure = 0x02 // V
)

// vp9Finder finds key frames and layers of VP9 (RFC 9628).
type vp9Finder struct {
	place   siaran.Place // of the newest frame
	current bool         // its beginning has been seen
	steps   steps
}

func (f *vp9Finder) lost() {
	f.current = false
	f.steps.lost()
}

func (f *vp9Finder) find(payload []byte, _ int64) (frame siaran.Frame) {
	layer, ok := vp9Layer(payload)
	if !ok {
		return siaran.Frame{}
	}
	flags := payload[0]
	frame.Place = f.placed(flags, layer)
	if flags&(vp9Predicted|vp9Begins) != vp9Begins || frame.Spatial != 0 || layer.dependent {
		return frame
	}
	var p codecs.VP9Packet
	data, err := p.Unmarshal(payload)
	if err != nil {
		return frame
	}
	var h vp9.Header
	if err := h.Unmarshal(data); err != nil || h.ShowExistingFrame || h.NonKeyFrame {
		return frame
	}
	width, height := h.Width(), h.Height()
	for i := range min(len(p.Width), len(p.Height)) { // spatial layers; the frame header has the size of the lowest one
		w, h := saneSize(int(p.Width[i]), int(p.Height[i]))
		if w*h > width*height {
			width, height = w, h
		}
		if p.NS > 0 {
			frame.Sizes = append(frame.Sizes, siaran.Size{Width: w, Height: h})
		}
	}
	frame.Keyframe = true
	frame.Width, frame.Height = saneSize(width, height)
	frame.Format = &vp9Formats[h.Profile&3]
	return frame
}

// placed is the place of the frame that a packet belongs to. What only its first packet decides is not known of a frame
// whose first packet is missing.
func (f *vp9Finder) placed(flags byte, layer vp9LayerIndices) siaran.Place {
	place := siaran.Place{
		Temporal: layer.temporal, Spatial: layer.spatial,
		LayerStart: flags&vp9Predicted == 0, LayerEnd: flags&vp9Ends != 0,
	}
	if flags&vp9Begins != 0 {
		if place.LayerStart {
			f.steps.open(place.Spatial, place.Temporal)
		}
		place.SwitchUp = f.steps.take(place.Spatial, place.Temporal)
		if layer.switchUp {
			f.steps.open(place.Spatial, place.Temporal)
		}
		f.place, f.current = place, true
		return place
	}
	if f.current && f.place.Spatial == place.Spatial && f.place.Temporal == place.Temporal {
		place.SwitchUp = f.place.SwitchUp
	}
	return place
}

type vp9LayerIndices struct {
	temporal, spatial uint8
	switchUp          bool // U: frames of higher temporal layers that follow need none from before
	dependent         bool // D: the frame needs that of the spatial layer below
}

// vp9Layer reads the layer indices (RFC 9628 section 4.2), which are 0 where there are none.
func vp9Layer(payload []byte) (layer vp9LayerIndices, ok bool) {
	if len(payload) == 0 {
		return layer, false
	}
	flags, rest := payload[0], payload[1:]
	if flags&vp9HasID != 0 {
		if len(rest) == 0 {
			return layer, false
		}
		size := 1 + int(rest[0]>>7)
		if len(rest) < size {
			return layer, false
		}
		rest = rest[size:]
	}
	if flags&vp9HasLayer == 0 {
		return layer, true
	}
	if len(rest) == 0 {
		return layer, false
	}
	b := rest[0]
	return vp9LayerIndices{b >> 5, b >> 1 & 7, b&0x10 != 0, b&1 != 0}, true
}
