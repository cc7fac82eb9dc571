package siaran

import "fmt"

// LayerChoice is what a viewer wants to get of a stream's video. Its zero value leaves the choice to the server.
type LayerChoice struct {
	RID string // this simulcast layer; empty: any
	// The highest spatial and temporal layers to be sent; nil: no limit. Encoders build layers upon lower ones, so to
	// choose a layer and to limit the layers come to the same.
	Spatial, Temporal       *int
	MaxSpatial, MaxTemporal *int
	// In pixels; 0: no limit. If every layer is larger, the smallest is sent.
	MaxWidth, MaxHeight int
	AudioOnly           bool // no video
}

// Automatic reports whether the choice is the server's alone.
func (c LayerChoice) Automatic() bool { return c == LayerChoice{} }

// Check fails with ErrUnacceptable if no stream with these layers can be sent as chosen. A spatial or temporal layer
// that does not exist is no mistake, as those of a stream come and go.
func (c LayerChoice) Check(video *Track) error {
	if video == nil {
		if c.Automatic() || c == (LayerChoice{AudioOnly: true}) {
			return nil
		}
		return fmt.Errorf("%w: the stream has no video", ErrUnacceptable)
	}
	for _, n := range []*int{c.Spatial, c.Temporal, c.MaxSpatial, c.MaxTemporal} {
		if n != nil && (*n < 0 || *n > MaxLayerID) {
			return fmt.Errorf("%w: a spatial or temporal layer must be a number from 0 to %d", ErrUnacceptable, MaxLayerID)
		}
	}
	if c.MaxWidth < 0 || c.MaxHeight < 0 {
		return fmt.Errorf("%w: a size must be 0 (no limit) or more pixels", ErrUnacceptable)
	}
	if c.RID == "" {
		return nil
	}
	var rids []string
	for _, l := range video.Layers {
		if l.RID() == c.RID {
			return nil
		}
		rids = append(rids, fmt.Sprintf("%q", l.RID()))
	}
	return fmt.Errorf("%w: the stream has no layer %q; it has %v", ErrUnacceptable, c.RID, rids)
}

// MaxLayerID is the highest id that a spatial or temporal layer can have.
const MaxLayerID = 7

// Viewing is what a viewer gets of a stream's video now.
type Viewing struct {
	RID               string
	Spatial, Temporal int // the highest that are sent
	Width, Height     int // in pixels; 0 when not known
	Target            int // bits a second that the path is believed to carry; 0: that is not known
	Automatic         bool
	Reason            ViewingReason
}

// ViewingReason says why a viewer gets just this.
type ViewingReason string

// The reasons.
const (
	ViewingBest      ViewingReason = "best"         // there is nothing better
	ViewingBandwidth ViewingReason = "bandwidth"    // the path does not carry more
	ViewingChosen    ViewingReason = "chosen"       // by the viewer
	ViewingStarting  ViewingReason = "starting"     // no picture yet
	ViewingSilent    ViewingReason = "silent layer" // nothing comes of a better or of the chosen layer
	ViewingSound     ViewingReason = "sound only"   // no picture is sent
)
