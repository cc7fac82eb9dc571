package siaran

// Bounds on the layers within one encoding. Higher ones count as the highest.
const (
	MaxSpatial  = 4
	MaxTemporal = 4
)

// Place is where a frame stands among the temporal and spatial layers within one encoding (SVC). In streams without
// such layers, both numbers are 0.
//
// A viewer who has everything below a layer may take the layer from a frame that begins it, and has to take all of it
// from there on.
type Place struct {
	Temporal uint8 // below MaxTemporal; frames of the base layer, 0, need no frame of a higher one
	Spatial  uint8 // below MaxSpatial; a picture has one frame for each spatial layer, the base layer, 0, first

	// The frame, which is above temporal layer 0, needs no earlier frame of its temporal layer.
	SwitchUp bool
	// The frame needs no earlier picture, at most the lower spatial layers of its own.
	LayerStart bool
	// The packet is the last of its frame. FrameEnd is that of the whole picture.
	LayerEnd bool
}

// clamped returns the place within the bounds. What is pressed into one layer cannot be switched to within it.
func (p Place) clamped() Place {
	if p.Temporal >= MaxTemporal {
		p.Temporal, p.SwitchUp = MaxTemporal-1, false
	}
	if p.Spatial >= MaxSpatial {
		p.Spatial, p.LayerStart = MaxSpatial-1, false
	}
	return p
}

// Apart is how a packet of AV1 with spatial layers goes out to viewers who take dependency descriptors: they may get
// some of the layers only. To all others, a temporal unit goes out as one frame ([Packet.Payload]). It is never
// changed.
type Apart struct {
	Payload    []byte // as the broadcaster sent it
	Descriptor []byte // likewise
	Starts     bool   // the packet is the first of its frame
	Frame      uint16 // the number of its frame

	Targets []Target // what a viewer may decode; shared by many packets
	Active  uint32   // those of them that the broadcaster sends, the first in the lowest bit
	MaskAt  int      // where the descriptor says that, or would, in bits
	Masked  bool     // it does
}

// Target is a decode target: all frames up to these layers.
type Target struct{ Spatial, Temporal uint8 }

// apartCost is the memory that an [Apart] takes besides its bytes.
const apartCost = 128

func (a *Apart) cost(payload []byte) int {
	n := apartCost + len(a.Descriptor)
	if &a.Payload[0] != &payload[0] {
		n += len(a.Payload)
	}
	return n
}

// Described is what a broadcaster says of a packet outside its payload (the dependency descriptor, RTP Payload Format
// For AV1, version 1.0, appendix A).
type Described struct {
	Place
	Sizes []Size // see [Frame]
	Apart *Apart // see [Packet]
}

// Size is the size of a picture in pixels.
type Size struct{ Width, Height int }
