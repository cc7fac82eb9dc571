package codec

import "siaran"

// unitKind is the role of a NAL unit.
type unitKind uint8

const (
	unitOther    unitKind = iota
	unitVPS               // H265 only
	unitSPS               // sequence parameter set
	unitPPS               // picture parameter set
	unitRecovery          // recovery point SEI: decoding may begin here
	unitKey               // first slice of an IDR or IRAP picture
	unitIntra             // first slice of an intra coded picture
	unitInter             // first slice of any other picture
)

// nalGrammar is what differs between H264 and H265.
type nalGrammar interface {
	// split appends each NAL unit that is complete in the payload or begins in it.
	split(list []unit, payload []byte) []unit
	kind(u unit) unitKind
	// place returns the place of a frame that begins with this payload, whose units split has returned.
	place(payload []byte, units []unit) siaran.Place
	// set reads a parameter set of this kind: its key, size and slice fields.
	set(kind unitKind, u unit) (parameterSet, error)
	// pps returns the id of the picture parameter set that a slice refers to.
	pps(slice unit) (id int, err error)
	// backward reports whether the picture that a slice begins is shown before an earlier one. It keeps order up to
	// date. needed is nil when the parameter sets of the slice are not known.
	backward(slice unit, needed setChain, order *pictureOrder) bool
	aggregate(nals [][]byte) []byte
}

// pictureOrder is the highest picture order count (H.265 section 8.3.1) since the last key frame.
type pictureOrder struct {
	known   bool
	highest uint64
}

// unit is a NAL unit.
type unit struct {
	number uint8  // nal_unit_type
	body   []byte // what follows the header, as far as the packet goes
	whole  []byte // with its header; nil for a fragment
}

// nalFinder finds key frames of H264 and H265. A key frame begins with its parameter sets, which may come in packets of
// their own, before it is certain what follows. An encoder that also sends them before other
// frames is recognised when such a frame comes (loose).
type nalFinder struct {
	grammar nalGrammar
	units   []unit // of one packet; kept so that the next needs no allocation

	sets          parameterSets
	order         pictureOrder
	width, height int // of the newest SPS
	format        *siaran.Format

	// The encoder also sends parameter sets before other frames, or not all of them with a key frame.
	loose   bool
	repeats bool // the encoder sent an SPS with the last key frame
	missed  bool // packets are missing before the next one
	gap     bool // packets of this frame, or between it and the last, are missing

	// State of the frame with this timestamp.
	timestamp int64
	begun     bool         // there has been a frame
	place     siaran.Place // what its first packet says
	withVPS   bool         // a VPS came with it
	withSPS   bool
	newestSPS setKey // of these
	recovery  bool
	sliced    bool  // its first slice has come
	flagged   bool  // a packet of it was reported as the first of a key frame
	from      int64 // which one
}

func (f *nalFinder) find(payload []byte, timestamp int64) siaran.Frame {
	first := !f.begun || timestamp != f.timestamp
	if first {
		f.begun, f.timestamp = true, timestamp
		f.withVPS, f.withSPS, f.recovery, f.sliced, f.flagged, f.gap = false, false, false, false, false, false
	}
	f.gap, f.missed = f.gap || f.missed, false
	f.sets.packets++
	var frame siaran.Frame
	sized := false
	f.units = f.grammar.split(f.units[:0], payload)
	if first {
		f.place = f.grammar.place(payload, f.units)
	}
	frame.Place = f.place
	for _, u := range f.units {
		switch kind := f.grammar.kind(u); kind {
		case unitVPS, unitSPS, unitPPS:
			if !f.keep(kind, u) || kind == unitPPS {
				continue
			}
			// An SPS is not the first parameter set when the encoder sends VPS.
			first := kind == unitVPS || f.withVPS || !f.sets.hasVPS()
			f.withVPS = f.withVPS || kind == unitVPS
			f.withSPS = f.withSPS || kind == unitSPS
			sized = sized || kind == unitSPS
			if first && !f.loose && !f.flagged && !f.sliced {
				f.flagged, f.from, frame.Keyframe = true, f.sets.packets, true
			}
		case unitRecovery:
			f.recovery = true
		case unitKey, unitIntra, unitInter:
			if !f.sliced {
				f.sliced = true
				f.slice(kind, u, &frame)
			}
		}
	}
	clear(f.units) // lets go of the payload
	if frame.Keyframe || sized {
		frame.Width, frame.Height, frame.Format = f.width, f.height, f.format
	}
	return frame
}

// slice decides what the frame is when its first slice comes.
func (f *nalFinder) slice(kind unitKind, u unit, frame *siaran.Frame) {
	needed := f.sets.neededBy(f.grammar, u)
	frame.Backward = f.grammar.backward(u, needed, &f.order)
	key := kind == unitKey || f.withSPS && (kind == unitIntra || f.recovery)
	if !key {
		if f.flagged {
			f.loose = true
			frame.Keyframe = false
		}
		return
	}
	missing := f.gap && f.repeats && !f.withSPS // its parameter sets were lost, and they may be new
	if !f.gap {
		f.repeats = f.withSPS
	}
	if needed == nil || missing || f.gap && f.withSPS && !needed.has(f.newestSPS) {
		return
	}
	from := f.sets.packets
	if f.flagged {
		from = f.from
	}
	whole := needed.since(from)
	if f.flagged && whole {
		return
	}
	f.loose = f.loose || f.flagged // not all of them come with a key frame: viewers begin with the slice
	f.flagged, f.from, frame.Keyframe = true, f.sets.packets, true
	if !whole {
		frame.Prefix = f.sets.payloads(f.grammar, needed)
	}
}

// keep stores a parameter set and reports whether it is a valid one.
func (f *nalFinder) keep(kind unitKind, u unit) bool {
	if u.whole == nil || len(u.whole) > maxParameterSet {
		return false
	}
	s, err := f.grammar.set(kind, u)
	if err != nil || s.key.id > maxSetID {
		return false
	}
	if kind == unitSPS {
		f.newestSPS = s.key
		f.width, f.height = saneSize(s.width, s.height)
		f.format = s.format
	}
	f.sets.put(s)
	return true
}

// lost keeps a key frame whose first packets may be missing from being reported as complete.
func (f *nalFinder) lost() {
	f.missed = true
	f.flagged = false
}

// isRecoveryPoint looks for the SEI message of type 6 (H.264 annex D.2.8, H.265 annex D.3.8).
func isRecoveryPoint(sei []byte) bool {
	for len(sei) > 2 { // the last byte holds trailing bits
		var kind, size int
		if kind, sei = seiNumber(sei); kind == 6 {
			return true
		}
		if size, sei = seiNumber(sei); size > len(sei) {
			return false
		}
		sei = sei[size:]
	}
	return false
}

// seiNumber reads a number that is the sum of its bytes; the last byte is the first one that is not 255.
func seiNumber(b []byte) (n int, rest []byte) {
	for len(b) > 0 {
		n += int(b[0])
		last := b[0] != 0xff
		b = b[1:]
		if last {
			break
		}
	}
	return n, b
}
