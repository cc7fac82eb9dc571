package codec

import (
	"slices"

	"siaran"
)

// Bounds of a template structure (RTP Payload Format For AV1, version 1.0, appendix A.8).
const (
	maxTemplates     = 64 // template ids have 6 bits
	describedSpatial = 4
	describedLevels  = 8 // temporal layers
)

// Lengths of the parts of a descriptor.
const (
	mandatory     = 3   // bytes
	flagBits      = 5   // that follow, if there is more
	maxDescriptor = 200 // bytes; longer ones go to nobody
)

// indication says what a frame is to a decode target (appendix A.8.3).
type indication uint8

const (
	notPresent  indication = iota
	discardable            // no other frame of the target needs it
	switchPoint            // whoever can decode it can decode the target from here on
	required
)

// Descriptors reads the dependency descriptors of one layer, in the order of the packets (RTP Payload Format For AV1,
// version 1.0, appendix A). Templates come with key frames and are good until the next ones.
type Descriptors struct {
	structure *structure
	active    uint32 // decode targets that the broadcaster sends
	described siaran.Described
	apart     siaran.Apart // of the newest packet, but for its bytes

	begun   bool
	number  uint16 // of the newest frame
	stamp   int64  // timestamp of its picture
	first   uint16 // number of the first frame of that picture
	partial bool   // the picture's first frame may be missing
	steps   steps

	temporal uint8 // of the first frame of that picture
	shifted  bool  // frames of one picture are of different temporal layers, so that none can be left out
}

type structure struct {
	offset    int // id of the first template
	templates []template
	targets   []siaran.Target
	sizes     []siaran.Size
}

// flatten makes all targets ones of all temporal layers.
func (s *structure) flatten() {
	s.targets = slices.Clone(s.targets) // packets share them
	for i := range s.targets {
		s.targets[i].Temporal = 0
	}
}

type template struct {
	spatial, temporal uint8
	indications       []indication // for each target
	reach             int          // how many frames back the frame depends on others; 0 when it depends on none
}

// Read returns what the descriptor of the next packet says, valid until the next call; nil when it cannot be read.
func (d *Descriptors) Read(b []byte, timestamp int64) *siaran.Described {
	r := bitReader{data: b}
	start, end := r.flag(), r.flag()
	id, number := r.read(6), uint16(r.read(16))
	if r.failed {
		return nil
	}
	var custom customFields
	fresh, masked, maskAt := false, false, mandatory*8+flagBits
	if len(b) > mandatory {
		fresh = r.flag()
		active := r.flag()
		custom = customFields{r.flag(), r.flag(), r.flag()}
		if fresh {
			d.structure = r.structure()
			d.steps.lost()
			if d.shifted && d.structure != nil {
				d.structure.flatten()
			}
		}
		maskAt = r.pos
		if d.structure != nil {
			n := len(d.structure.targets)
			if fresh {
				d.active = 1<<n - 1
			}
			if masked = active; masked {
				if mask := uint32(r.read(n)); !r.failed {
					d.active = mask
				}
			}
		}
	}
	if d.structure == nil {
		return nil
	}
	d.apart = siaran.Apart{
		Starts: start, Frame: number,
		Targets: d.structure.targets, Active: d.active, MaskAt: maskAt, Masked: masked,
	}
	index := (id + maxTemplates - d.structure.offset) % maxTemplates
	if index >= len(d.structure.templates) {
		return nil
	}
	frame := d.structure.templates[index]
	if r.customize(&frame, custom, len(d.structure.targets)); r.failed {
		return nil
	}
	d.place(frame, start, end, number, timestamp)
	d.described.Sizes = nil
	if fresh {
		d.described.Sizes = d.structure.sizes
	}
	return &d.described
}

// Apart returns how the packet that was read last goes out to viewers who take its descriptor, b. payload is what the
// broadcaster sent.
func (d *Descriptors) Apart(b, payload []byte) *siaran.Apart {
	if len(b) > maxDescriptor {
		return nil
	}
	a := d.apart
	a.Descriptor, a.Payload = b, payload
	return &a
}

// Spatials is the number of spatial layers that the broadcaster may send, 0 before the first structure.
func (d *Descriptors) Spatials() int {
	if d.structure == nil {
		return 0
	}
	return int(d.structure.templates[len(d.structure.templates)-1].spatial) + 1
}

// place sets the place of a packet. What the frames before it decide is not known of a frame whose first packet is
// missing.
func (d *Descriptors) place(f template, start, end bool, number uint16, timestamp int64) {
	p := &d.described.Place
	if d.begun && number == d.number && timestamp == d.stamp {
		p.LayerEnd = end
		return
	}
	follows := d.begun && number == d.number+1
	if !follows {
		d.steps.lost()
	}
	if !d.begun || timestamp != d.stamp {
		d.first, d.stamp, d.partial, d.temporal = number, timestamp, !start, f.temporal
	}
	if f.temporal != d.temporal && !d.shifted {
		d.shifted = true
		d.structure.flatten()
	}
	if d.shifted {
		f.temporal = 0
	}
	d.partial = d.partial || !follows && number != d.first
	d.begun, d.number = true, number
	*p = siaran.Place{Temporal: f.temporal, Spatial: f.spatial, LayerEnd: end}
	if !start {
		d.steps.take(f.spatial, f.temporal)
		return
	}
	p.LayerStart = f.reach == 0 || !d.partial && f.reach <= int(number-d.first)
	if p.LayerStart {
		d.steps.open(f.spatial, f.temporal)
	}
	p.SwitchUp = d.steps.take(f.spatial, f.temporal)
	for i, t := range d.structure.targets {
		if t.Spatial == f.spatial && t.Temporal > f.temporal && f.indications[i] == switchPoint {
			d.steps.allow(t.Spatial, t.Temporal)
		}
	}
}

// customFields says which fields of a frame differ from those of its template.
type customFields struct{ indications, differences, chains bool }

func (r *bitReader) customize(f *template, custom customFields, targets int) {
	if custom.indications {
		f.indications = r.indications(targets)
	}
	if custom.differences {
		f.reach = 0
		for size := r.read(2); size > 0; size = r.read(2) {
			f.reach = max(f.reach, r.read(4*size)+1)
		}
	}
	// The chains that may follow are not needed.
}

// structure reads template_dependency_structure(); nil when it is broken (appendix A.8.2).
func (r *bitReader) structure() *structure {
	s := &structure{offset: r.read(6)}
	targets := r.read(5) + 1
	if !r.layers(s) {
		return nil
	}
	for i := range s.templates {
		s.templates[i].indications = r.indications(targets)
	}
	for i := range s.templates {
		for r.flag() {
			s.templates[i].reach = max(s.templates[i].reach, r.read(4)+1)
		}
	}
	r.skipChains(len(s.templates), targets)
	s.targets = make([]siaran.Target, targets)
	for i := range s.targets {
		t := &s.targets[i]
		for _, f := range s.templates {
			if f.indications[i] != notPresent {
				t.Spatial, t.Temporal = max(t.Spatial, f.spatial), max(t.Temporal, f.temporal)
			}
		}
	}
	if r.flag() { // resolutions_present_flag
		for range s.templates[len(s.templates)-1].spatial + 1 {
			width, height := saneSize(r.read(16)+1, r.read(16)+1)
			s.sizes = append(s.sizes, siaran.Size{Width: width, Height: height})
		}
	}
	if r.failed {
		return nil
	}
	return s
}

// layers reads template_layers(), and reports whether its numbers are within the bounds.
func (r *bitReader) layers(s *structure) bool {
	const nextTemporal, nextSpatial, last = 1, 2, 3
	var t template
	for !r.failed && len(s.templates) < maxTemplates {
		s.templates = append(s.templates, t)
		switch r.read(2) {
		case nextTemporal:
			t.temporal++
		case nextSpatial:
			t.spatial, t.temporal = t.spatial+1, 0
		case last:
			return true
		}
		if t.spatial >= describedSpatial || t.temporal >= describedLevels {
			return false
		}
	}
	return false
}

func (r *bitReader) indications(n int) []indication {
	list := make([]indication, n)
	for i := range list {
		list[i] = indication(r.read(2))
	}
	return list
}

// skipChains skips template_chains().
func (r *bitReader) skipChains(templates, targets int) {
	chains := r.nonSymmetric(targets + 1)
	if chains == 0 {
		return
	}
	for range targets {
		r.nonSymmetric(chains)
	}
	for range templates * chains {
		r.read(4)
	}
}

// nonSymmetric reads a number below n in ns(n) format (AV1 section 4.10.7).
func (r *bitReader) nonSymmetric(n int) int {
	bits := 0
	for x := n; x > 0; x >>= 1 {
		bits++
	}
	short := 1<<bits - n
	v := r.read(bits - 1)
	if v < short {
		return v
	}
	return v<<1 - short + r.read(1)
}
