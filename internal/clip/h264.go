package clip

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/pion/webrtc/v3"

	"siaran/internal/codec"
)

// annexB cuts a byte stream (ITU-T H.264 Annex B) into access units. The stream has no clock: the frame
// rate comes from the parameter set, and frames are taken to be shown in the order in which they are sent.
type annexB struct {
	nals    *bufio.Scanner
	held    []byte // a NAL unit of the next access unit
	profile string // profile-level-id (RFC 6184 section 8.1)
	every   time.Duration
	count   int64
}

var startCode = []byte{0, 0, 1}

func newH264(in io.Reader) (*annexB, error) {
	a := &annexB{nals: bufio.NewScanner(in), every: time.Second / frameRate}
	a.nals.Buffer(make([]byte, 1<<16), maxFrame)
	a.nals.Split(splitNALs)
	return a, nil
}

func (a *annexB) codec() webrtc.RTPCodecCapability {
	if a.profile == "" {
		a.profile = "42e01f"
	}
	return webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
		SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + a.profile,
	}
}

func (a *annexB) next() (Frame, error) {
	var unit []byte
	pictured := false
	for {
		nal := a.held
		a.held = nil
		if nal == nil {
			if !a.nals.Scan() {
				break
			}
			nal = bytes.Clone(a.nals.Bytes())
		}
		kind := h264.NALUType(nal[0] & 0x1f)
		slice := kind >= h264.NALUTypeNonIDR && kind <= h264.NALUTypeIDR
		first := slice && len(nal) > 1 && nal[1]&0x80 != 0 // first_mb_in_slice is 0
		if pictured && (first || kind >= h264.NALUTypeSEI && kind <= h264.NALUTypeAccessUnitDelimiter) {
			a.held = nal
			break
		}
		if codec.H264BFrame(nal) {
			return Frame{}, fmt.Errorf("%w: it has B-frames, which WebRTC cannot show; "+
				"encode it with B-frames off (ffmpeg: -bf 0)", ErrFormat)
		}
		if kind == h264.NALUTypeSPS {
			a.learn(nal)
		}
		pictured = pictured || slice
		if len(unit)+len(nal) > maxFrame {
			return Frame{}, fmt.Errorf("%w: a frame of more than %d bytes", ErrFormat, maxFrame)
		}
		unit = append(append(unit, 0, 0, 0, 1), nal...)
	}
	if !pictured {
		if err := a.nals.Err(); err != nil {
			return Frame{}, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		return Frame{}, io.EOF
	}
	f := Frame{Data: unit, At: time.Duration(a.count) * a.every, Long: a.every}
	a.count++
	return f, nil
}

// learn takes profile and frame rate from a sequence parameter set. The rate is that of the first.
func (a *annexB) learn(nal []byte) {
	var sps h264.SPS
	if a.profile != "" || len(nal) < 4 || sps.Unmarshal(nal) != nil {
		return
	}
	a.profile = hex.EncodeToString(nal[1:4])
	if rate := sps.FPS(); rate >= 1 && rate <= 240 {
		a.every = time.Duration(float64(time.Second) / rate)
	}
}

// splitNALs is a bufio.SplitFunc for what stands between start codes.
func splitNALs(data []byte, atEOF bool) (advance int, token []byte, err error) {
	begin := bytes.Index(data, startCode)
	if begin < 0 {
		if atEOF {
			return len(data), nil, nil
		}
		return max(0, len(data)-2), nil, nil
	}
	begin += len(startCode)
	if end := bytes.Index(data[begin:], startCode); end >= 0 {
		token, advance = data[begin:begin+end], begin+end
	} else if atEOF {
		token, advance = data[begin:], len(data)
	} else {
		return begin - len(startCode), nil, nil
	}
	token = bytes.TrimRight(token, "\x00") // trailing zeros belong to the stream, not to the unit
	if len(token) == 0 {
		return advance, nil, nil
	}
	return advance, token, nil
}
