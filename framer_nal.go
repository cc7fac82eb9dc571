package siaran

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"
)

// unitKind is what matters about a NAL unit.
type unitKind uint8

const (
	unitOther    unitKind = iota
	unitVPS               // H265 only
	unitSPS               // sequence parameter set
	unitPPS               // picture parameter set
	unitRecovery          // SEI that says: decoding may begin here
	unitKey               // first slice of an IDR or IRAP picture
	unitIntra             // first slice of a picture, and intra coded
	unitInter             // first slice of any other picture
)

// nalGrammar is what differs between H264 and H265.
type nalGrammar interface {
	// split appends each unit that is whole in the payload or begins in it.
	split(list []unit, payload []byte) []unit
	kind(u unit) unitKind
	sps(nal []byte) (id, width, height int, err error)
	aggregate(nals [][]byte) []byte
}

// unit is a NAL unit.
type unit struct {
	number uint8  // nal_unit_type
	body   []byte // what follows the header, as far as it is in the packet
	whole  []byte // with its header; nil for a fragment
}

const (
	maxParameterSet  = 1100 // bytes; with a header it must fit into a packet
	maxParameterSets = 16   // of a kind
)

// nalFramer finds key frames of H264 and H265. A key frame begins with its parameter sets. They
// may come in packets of their own, before it is certain what follows; an encoder that
// sends them also before other frames is found out by that (loose).
type nalFramer struct {
	grammar nalGrammar
	units   []unit // of one packet; kept for the next to need no memory

	sets          parameterSets
	width, height int // of the newest SPS

	loose   bool // the encoder also sends parameter sets before frames that are not key frames
	repeats bool // the encoder sent them with the last key frame
	gap     bool // packets of this frame, or between it and the last, are missing

	// Of the frame with timestamp.
	timestamp int64
	begun     bool // there has been a frame at all
	withVPS   bool // parameter sets came with it
	withSPS   bool
	recovery  bool
	sliced    bool // its first slice has come
	flagged   bool // its first packet has been recognised as that of a key frame
}

func (f *nalFramer) look(payload []byte, timestamp int64) Frame {
	if !f.begun || timestamp != f.timestamp {
		f.begun, f.timestamp = true, timestamp
		f.withVPS, f.withSPS, f.recovery, f.sliced, f.flagged = false, false, false, false, false
	}
	var frame Frame
	setsHere, sized := false, false
	f.units = f.grammar.split(f.units[:0], payload)
	for _, u := range f.units {
		switch kind := f.grammar.kind(u); kind {
		case unitVPS, unitSPS, unitPPS:
			if !f.keep(kind, u) || kind == unitPPS {
				continue
			}
			first := kind == unitVPS || f.withVPS || len(f.sets.vps) == 0 // an SPS alone is not the first where there are VPS
			f.withVPS = f.withVPS || kind == unitVPS
			f.withSPS = f.withSPS || kind == unitSPS
			setsHere, sized = setsHere || first, sized || kind == unitSPS
			if first && !f.loose && !f.flagged && !f.sliced {
				f.flagged, frame.Keyframe = true, true
			}
		case unitRecovery:
			f.recovery = true
		case unitKey, unitIntra, unitInter:
			if !f.sliced {
				f.sliced = true
				f.slice(kind, setsHere, &frame)
			}
		}
	}
	clear(f.units) // they hold the payload
	if frame.Keyframe || sized {
		frame.Width, frame.Height = f.width, f.height
	}
	return frame
}

// slice decides what the frame is, once its first slice is there.
func (f *nalFramer) slice(kind unitKind, setsHere bool, frame *Frame) {
	key := kind == unitKey || f.withSPS && (kind == unitIntra || f.recovery)
	if !key {
		if f.flagged {
			f.loose = true
			frame.Keyframe = false
		}
		return
	}
	missing := f.gap && f.repeats && !f.withSPS // its parameter sets are among the lost packets and may be new
	if !f.gap {
		f.repeats = f.withSPS
	}
	if f.flagged || missing || !f.sets.complete() {
		return
	}
	f.flagged, frame.Keyframe = true, true
	if !setsHere {
		frame.Prefix = f.sets.payloads(f.grammar)
	}
}

// keep takes a parameter set and tells whether it was one.
func (f *nalFramer) keep(kind unitKind, u unit) bool {
	if u.whole == nil || len(u.whole) > maxParameterSet {
		return false
	}
	switch kind {
	case unitVPS:
		return f.sets.vps.put(0, u.whole, &f.sets)
	case unitPPS:
		pos := 0
		id, err := bits.ReadGolombUnsigned(u.body, &pos)
		return err == nil && f.sets.pps.put(int(id), u.whole, &f.sets)
	}
	if f.sets.sps.has(u.whole) {
		return true
	}
	id, width, height, err := f.grammar.sps(u.whole)
	if err != nil {
		return false
	}
	f.width, f.height = saneSize(width, height)
	f.sets.pps = nil // they belong to the SPS before; new ones follow
	return f.sets.sps.put(id, u.whole, &f.sets)
}

// lost makes that a key frame, of which a first part may be missing, is not taken for whole.
func (f *nalFramer) lost() {
	f.gap = true
	f.flagged = false
}

func (f *nalFramer) ended() { f.gap = false }

// parameterSets are the newest ones of an encoder.
type parameterSets struct {
	vps, sps, pps setList
	prefix        [][]byte // made of them when first wanted, and again when they have changed
}

func (p *parameterSets) complete() bool { return len(p.sps) > 0 && len(p.pps) > 0 }

// payloads are RTP payloads that carry all of them: one if it fits, else one for each.
func (p *parameterSets) payloads(grammar nalGrammar) [][]byte {
	if p.prefix != nil {
		return p.prefix
	}
	total := 0
	var all [][]byte
	for _, list := range []setList{p.vps, p.sps, p.pps} {
		for _, s := range list {
			all = append(all, s.bytes)
			total += 2 + len(s.bytes)
		}
	}
	if total <= maxParameterSet {
		all = [][]byte{grammar.aggregate(all)}
	}
	p.prefix = all
	return all
}

// setList are parameter sets of one kind with different ids.
type setList []parameterSet

type parameterSet struct {
	id    int
	bytes []byte // a copy
}

func (l setList) has(nal []byte) bool {
	for _, s := range l {
		if bytes.Equal(s.bytes, nal) {
			return true
		}
	}
	return false
}

// put adds a set, in place of one with the same id. It is false when there are too many.
func (l *setList) put(id int, nal []byte, owner *parameterSets) bool {
	if l.has(nal) {
		return true
	}
	fresh := parameterSet{id, bytes.Clone(nal)}
	for i := range *l {
		if (*l)[i].id == id {
			(*l)[i] = fresh
			owner.prefix = nil
			return true
		}
	}
	if len(*l) == maxParameterSets {
		return false
	}
	*l = append(*l, fresh)
	owner.prefix = nil
	return true
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

// seiNumber reads a number that is written as bytes to be summed up, of which the last is not 255.
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
