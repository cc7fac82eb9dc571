package codec

// Bounds of the numbers of layers in RTP: 3 bits each.
const (
	numberedSpatial  = 8
	numberedTemporal = 8
)

// steps turns switching points that concern the frames to come, as in VP9 and the dependency descriptor, into those of
// [siaran.Place], which concern one frame: the first of a temporal layer after such a point.
type steps [numberedSpatial]uint8 // a bit for each temporal layer that can be begun with its next frame

// open says that frames of temporal layers above this one need none from before.
func (s *steps) open(spatial, temporal uint8) { s[spatial&7] |= 0xfe << temporal }

// allow says that of the frames of this temporal layer.
func (s *steps) allow(spatial, temporal uint8) { s[spatial&7] |= 1 << temporal }

// take reports whether a layer can be begun with the frame that begins now.
func (s *steps) take(spatial, temporal uint8) bool {
	bit := uint8(1) << temporal
	free := s[spatial&7]&bit != 0
	s[spatial&7] &^= bit
	return free && temporal > 0
}

// lost says that frames may be missing, which the next ones may need.
func (s *steps) lost() { *s = steps{} }
