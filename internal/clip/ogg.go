package clip

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/pion/webrtc/v3"
)

// maxOpus is the size of the largest Opus packet (RFC 6716 section 3.4, RFC 7845 section 6), in bytes.
const maxOpus = 61440

// ogg gives the packets of the first Opus stream of an OGG file (RFC 3533, RFC 7845). Packets may
// span pages; larger ones than Opus knows, such as tags with a picture, are passed over.
type ogg struct {
	in     io.Reader
	serial uint32
	lacing []byte // sizes of the segments of the page that are still to come
	packet []byte
	tooBig bool
	at     time.Duration
}

func newOGG(in io.Reader) (*ogg, error) {
	o := &ogg{in: in}
	for {
		serial, err := o.page()
		if err != nil {
			return nil, fmt.Errorf("%w: an OGG file without Opus; encode the sound with libopus", ErrFormat)
		}
		o.serial = serial
		if p, err := o.read(); err == nil && len(p) >= 8 && string(p[:8]) == "OpusHead" {
			break
		}
		if err := o.skip(); err != nil {
			return nil, fmt.Errorf("%w: an OGG file that is cut off", ErrFormat)
		}
	}
	return o, nil
}

func (o *ogg) codec() webrtc.RTPCodecCapability {
	return webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
		SDPFmtpLine: "minptime=10;useinbandfec=1;stereo=1",
	}
}

func (o *ogg) next() (Frame, error) {
	for {
		p, err := o.read()
		if err != nil {
			return Frame{}, err
		}
		if len(p) == 0 || len(p) >= 8 && (string(p[:8]) == "OpusTags" || string(p[:8]) == "OpusHead") {
			continue
		}
		long := time.Duration(opus.PacketDuration2(p)) * time.Second / 48000
		if long <= 0 || long > 120*time.Millisecond {
			return Frame{}, fmt.Errorf("%w: a broken Opus packet", ErrFormat)
		}
		f := Frame{Data: p, At: o.at, Long: long}
		o.at += long
		return f, nil
	}
}

// read returns the next whole packet of the stream.
func (o *ogg) read() ([]byte, error) {
	for {
		for len(o.lacing) > 0 {
			size := int(o.lacing[0])
			o.lacing = o.lacing[1:]
			var segment [255]byte
			if _, err := io.ReadFull(o.in, segment[:size]); err != nil {
				return nil, io.EOF
			}
			if o.tooBig = o.tooBig || len(o.packet)+size > maxOpus; !o.tooBig {
				o.packet = append(o.packet, segment[:size]...)
			}
			if size < 255 {
				p, dropped := o.packet, o.tooBig
				o.packet, o.tooBig = nil, false
				if !dropped {
					return p, nil
				}
			}
		}
		serial, err := o.page()
		if err != nil {
			return nil, err
		}
		if serial != o.serial {
			if err := o.skip(); err != nil {
				return nil, err
			}
		}
	}
}

// page reads the header of the next page (RFC 3533 section 6). It returns io.EOF when there is none.
func (o *ogg) page() (serial uint32, err error) {
	var head [27]byte
	if _, err := io.ReadFull(o.in, head[:]); err != nil {
		return 0, io.EOF
	}
	if string(head[:4]) != "OggS" || head[4] != 0 {
		return 0, fmt.Errorf("%w: a broken OGG page", ErrFormat)
	}
	o.lacing = make([]byte, head[26])
	if _, err := io.ReadFull(o.in, o.lacing); err != nil {
		return 0, io.EOF
	}
	return binary.LittleEndian.Uint32(head[14:]), nil
}

// skip passes over what is left of the page.
func (o *ogg) skip() error {
	var n int64
	for _, size := range o.lacing {
		n += int64(size)
	}
	o.lacing = nil
	if _, err := io.CopyN(io.Discard, o.in, n); err != nil {
		return io.EOF
	}
	return nil
}
