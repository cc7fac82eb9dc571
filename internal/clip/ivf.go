package clip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pion/webrtc/v3"
)

// maxFrame bounds the memory of one frame, in bytes.
const maxFrame = 8 << 20

// maxLong is how long a file may be.
const maxLong = 1000 * time.Hour

// ivf is the file format of libvpx and libaom: a header of 32 bytes, and 12 bytes before each frame, little endian.
type ivf struct {
	in       io.Reader
	kind     webrtc.RTPCodecCapability
	num, den uint64 // seconds of one unit of the timestamps
	first    uint64
	last     uint64
	begun    bool
}

func newIVF(in io.Reader) (*ivf, error) {
	var head [32]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, fmt.Errorf("%w: the IVF header is cut off", ErrFormat)
	}
	f := &ivf{
		in:  in,
		den: uint64(binary.LittleEndian.Uint32(head[16:])),
		num: uint64(binary.LittleEndian.Uint32(head[20:])),
	}
	if f.den == 0 || f.num == 0 {
		return nil, fmt.Errorf("%w: the IVF header names no time base", ErrFormat)
	}
	if extra := int64(binary.LittleEndian.Uint16(head[6:])) - int64(len(head)); extra > 0 {
		if _, err := io.CopyN(io.Discard, in, extra); err != nil {
			return nil, fmt.Errorf("%w: the IVF header is cut off", ErrFormat)
		}
	}
	f.kind.ClockRate = 90000
	switch fourcc := string(head[8:12]); fourcc {
	case "VP80":
		f.kind.MimeType = webrtc.MimeTypeVP8
	case "VP90":
		f.kind.MimeType, f.kind.SDPFmtpLine = webrtc.MimeTypeVP9, "profile-id=0"
	case "AV01":
		f.kind.MimeType = webrtc.MimeTypeAV1
	default:
		return nil, fmt.Errorf("%w: IVF with codec %q; VP8, VP9 and AV1 can be broadcast", ErrFormat, fourcc)
	}
	return f, nil
}

func (f *ivf) codec() webrtc.RTPCodecCapability { return f.kind }

func (f *ivf) next() (Frame, error) {
	var head [12]byte
	if _, err := io.ReadFull(f.in, head[:]); err != nil {
		return Frame{}, io.EOF // also of a header that is cut off: what is there can be played
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > maxFrame {
		return Frame{}, fmt.Errorf("%w: a frame of %d bytes", ErrFormat, size)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f.in, data); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		return Frame{}, err
	}
	pts := binary.LittleEndian.Uint64(head[4:])
	if !f.begun {
		f.begun, f.first, f.last = true, pts, pts
	}
	at := float64(pts-f.first) * float64(f.num) / float64(f.den) // seconds
	if pts < f.last || at > maxLong.Seconds() {
		return Frame{}, fmt.Errorf("%w: its timestamps run backwards, or too far", ErrFormat)
	}
	f.last = pts
	return Frame{Data: data, At: time.Duration(at * float64(time.Second))}, nil
}
