package codec

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"

	"siaran"
)

const (
	maxParameterSet  = 1100     // bytes; it must fit into a packet with its header
	maxParameterSets = 32 << 10 // bytes, together; encoders use a few hundred
	maxSetID         = 255      // of a PPS (H.264 section 7.4.2.2); other sets have lower bounds
)

// setKey identifies a parameter set. The zero value identifies none.
type setKey struct {
	kind unitKind // unitVPS, unitSPS or unitPPS
	id   int
}

// parameterSet is one parameter set of an encoder.
type parameterSet struct {
	key   setKey
	needs setKey // an SPS for a PPS, a VPS for an SPS of H265
	nal   []byte // with its header

	width, height int // in pixels, of an SPS
	format        *siaran.Format
	slices        h265SliceFields

	came int64 // number of the packet that last brought it
	used int64 // number of the packet that last brought it, or referred to it directly or through another set
}

// parameterSets are the newest parameter sets of an encoder. When there are too many, the least recently used goes.
type parameterSets struct {
	packets int64 // number of packets so far
	sets    map[setKey]*parameterSet
	bytes   int
}

// put stores a copy of a set, and replaces the one with the same key.
func (p *parameterSets) put(fresh parameterSet) {
	s := p.sets[fresh.key]
	if s == nil || !bytes.Equal(s.nal, fresh.nal) {
		p.drop(fresh.key)
		if fresh.key.kind == unitSPS { // sets that refer to the old one do not fit the new one
			for key, other := range p.sets {
				if other.needs == fresh.key {
					p.drop(key)
				}
			}
		}
		if p.sets == nil {
			p.sets = make(map[setKey]*parameterSet)
		}
		s = &fresh
		s.nal = bytes.Clone(s.nal)
		p.sets[s.key] = s
		p.bytes += len(s.nal)
	}
	s.came = p.packets
	p.touch(s)
	for p.bytes > maxParameterSets {
		p.drop(p.oldest())
	}
}

func (p *parameterSets) drop(key setKey) {
	if s := p.sets[key]; s != nil {
		p.bytes -= len(s.nal)
		delete(p.sets, key)
	}
}

// oldest returns the key of the least recently used set; of several, one that no other needs.
func (p *parameterSets) oldest() setKey {
	var oldest *parameterSet
	for _, s := range p.sets {
		if oldest == nil || cmp.Or(cmp.Compare(s.used, oldest.used), compareKeys(oldest.key, s.key)) < 0 {
			oldest = s
		}
	}
	return oldest.key
}

func (p *parameterSets) hasVPS() bool {
	for key := range p.sets {
		if key.kind == unitVPS {
			return true
		}
	}
	return false
}

// touch marks a set and those that it needs as used. It returns them, the most basic first.
func (p *parameterSets) touch(s *parameterSet) (chain setChain) {
	chain = make(setChain, 0, 3)
	for ; s != nil; s = p.sets[s.needs] {
		s.used = p.packets
		chain = append(chain, s)
	}
	slices.Reverse(chain)
	return chain
}

// neededBy returns the sets that a slice needs, nil when one of them is missing. A VPS may be missing, because decoders
// do without it.
func (p *parameterSets) neededBy(grammar nalGrammar, slice unit) setChain {
	id, err := grammar.pps(slice)
	if err != nil {
		return nil
	}
	chain := p.touch(p.sets[setKey{unitPPS, id}])
	if !slices.ContainsFunc(chain, func(s *parameterSet) bool { return s.key.kind == unitSPS }) {
		return nil
	}
	return chain
}

// payloads returns RTP payloads with the needed sets: a single one if they fit, else one for each. Other picture
// parameter sets, which later frames may refer to, are added as far as there is room.
func (p *parameterSets) payloads(grammar nalGrammar, needed setChain) (list [][]byte) {
	room := maxParameterSet
	for _, s := range needed {
		list = append(list, s.nal)
		room -= 2 + len(s.nal)
	}
	if room < 0 {
		return list
	}
	pps := needed[len(needed)-1]
	var others setChain
	for _, s := range p.sets {
		if s != pps && s.needs == pps.needs && s.key.kind == unitPPS {
			others = append(others, s)
		}
	}
	slices.SortFunc(others, func(a, b *parameterSet) int {
		return cmp.Or(cmp.Compare(b.used, a.used), compareKeys(a.key, b.key))
	})
	for _, s := range others {
		if room -= 2 + len(s.nal); room < 0 {
			break
		}
		list = append(list, s.nal)
	}
	return [][]byte{grammar.aggregate(list)}
}

// setChain is a list of parameter sets in which each needs the previous one.
type setChain []*parameterSet

func (c setChain) has(key setKey) bool {
	return slices.ContainsFunc(c, func(s *parameterSet) bool { return s.key == key })
}

// since reports whether all of them came with the packet with number from, or later.
func (c setChain) since(from int64) bool {
	return !slices.ContainsFunc(c, func(s *parameterSet) bool { return s.came < from })
}

func compareKeys(a, b setKey) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.id, b.id))
}

// golombs reads the first n numbers of a NAL unit's body, n at most 3. They are small, so there is no emulation
// prevention byte (H.264 section 7.4.1.1) among them.
func golombs(body []byte, n int) (list [3]int, err error) {
	pos := 0
	for i := range n {
		v, err := bits.ReadGolombUnsigned(body, &pos)
		if err != nil {
			return list, err
		}
		list[i] = int(v)
	}
	return list, nil
}
