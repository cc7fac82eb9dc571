package media

import (
	"encoding/binary"
	"sync"

	"github.com/pion/interceptor"
)

// dropping loses packets on their way to a viewer: those for whose sequence number lose says so. What is sent again
// arrives.
func dropping(lose func(sequence uint16) bool) interceptor.Factory { return &lossFilter{lose: lose} }

type lossFilter struct {
	interceptor.NoOp
	lose  func(uint16) bool
	mu    sync.Mutex
	lost  map[uint32]map[uint16]bool // by SSRC
	first map[uint32]uint16
	n     int
}

func (l *lossFilter) NewInterceptor(string) (interceptor.Interceptor, error) {
	l.lost, l.first = make(map[uint32]map[uint16]bool), make(map[uint32]uint16)
	return l, nil
}

func (l *lossFilter) BindRemoteStream(_ *interceptor.StreamInfo, reader interceptor.RTPReader) interceptor.RTPReader {
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		for {
			n, attributes, err := reader.Read(b, a)
			if err != nil || n < 12 || !l.take(binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[2:])) {
				return n, attributes, err
			}
		}
	})
}

func (l *lossFilter) take(ssrc uint32, sequence uint16) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost[ssrc] == nil {
		l.lost[ssrc] = make(map[uint16]bool)
		l.first[ssrc] = sequence
	}
	// Nobody can miss what comes before the first packet that is seen.
	if l.lost[ssrc][sequence] || sequence-l.first[ssrc] < 5 || !l.lose(sequence) {
		return false
	}
	l.lost[ssrc][sequence] = true
	l.n++
	return true
}

func (l *lossFilter) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// dropAll hears nothing, of media or of repairs.
type dropAll struct{ interceptor.NoOp }

func (*dropAll) NewInterceptor(string) (interceptor.Interceptor, error) { return &dropAll{}, nil }

func (*dropAll) BindRemoteStream(_ *interceptor.StreamInfo, reader interceptor.RTPReader) interceptor.RTPReader {
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		for {
			if n, a, err := reader.Read(b, a); err != nil {
				return n, a, err
			}
		}
	})
}
