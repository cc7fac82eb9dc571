//go:build ignore

// Make writes the files of this folder: RTP payloads of what real encoders make. It needs
// ffmpeg with libx264, libx265, libvpx, libaom and SVT-AV1. Run it in this folder: go run make.go
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

const source = "-hide_banner -loglevel error -f lavfi -i testsrc2=size=320x240:rate=10 -frames:v 10 -an -pix_fmt " +
	"yuv420p "

// 10 frames, of which those at 0 and 5 are key frames.
var recipes = []struct {
	file, encoder string
	payloader     rtp.Payloader // nil: ffmpeg's own RTP
	split         func([]byte) [][]byte
}{
	{"h264.rtp", "-c:v libx264 -preset veryfast -tune zerolatency -profile:v baseline -g 5 -crf 34 -x264-params " +
		"scenecut=0:slices=1:repeat-headers=1", nil, nil},
	{"h264-slices.rtp", "-c:v libx264 -preset veryfast -tune zerolatency -profile:v high -g 5 -crf 34 -x264-params " +
		"scenecut=0:slices=4:repeat-headers=1:aud=1", nil, nil},
	{"h264-stap.rtp", "-threads 1 -c:v libx264 -preset veryfast -tune zerolatency -g 5 -crf 34 -x264-params " +
		"scenecut=0:slices=1:repeat-headers=1 -f h264", &codecs.H264Payloader{}, whole},
	{"h264-refresh.rtp", "-c:v libx264 -preset veryfast -tune zerolatency -g 5 -crf 34 -x264-params scenecut=0:" +
		"slices=1:repeat-headers=1:intra-refresh=1", nil, nil},
	{"h265.rtp", "-c:v libx265 -preset veryfast -tune zerolatency -g 5 -crf 36 -x265-params log-level=none:" +
		"scenecut=0:repeat-headers=1:open-gop=0:keyint=5:min-keyint=5", nil, nil},
	{"vp8.rtp", "-c:v libvpx -deadline realtime -cpu-used 8 -g 5 -keyint_min 5 -b:v 200k", nil, nil},
	{"vp8-pion.rtp", "-c:v libvpx -deadline realtime -cpu-used 8 -g 5 -keyint_min 5 -b:v 200k -f ivf",
		&codecs.VP8Payloader{EnablePictureID: true}, ivf},
	{"vp9.rtp", "-strict experimental -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -g 5 " +
		"-keyint_min 5 -b:v 200k", nil, nil},
	{"vp9-flexible.rtp", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -g 5 -keyint_min 5 -b:v " +
		"200k -f ivf", &codecs.VP9Payloader{FlexibleMode: true}, ivf},
	{"vp9-structure.rtp", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -g 5 -keyint_min 5 -b:v " +
		"200k -f ivf", &codecs.VP9Payloader{}, ivf},
	{"av1-aom.rtp", "-c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0 -g 5 -keyint_min 5 -b:v 200k -f ivf",
		&codecs.AV1Payloader{}, ivf},
	{"av1-svt.rtp", "-c:v libsvtav1 -preset 12 -g 5 -crf 50 -svtav1-params pred-struct=1:scd=0 -f ivf",
		&codecs.AV1Payloader{}, ivf},
}

func main() {
	for _, r := range recipes {
		var out bytes.Buffer
		var err error
		if r.payloader == nil {
			err = stream(&out, r.encoder)
		} else {
			err = encode(&out, r.encoder, r.payloader, r.split)
		}
		if err == nil {
			err = os.WriteFile(r.file, out.Bytes(), 0o644)
		}
		if err != nil {
			log.Printf("%s: %v", r.file, err)
		}
	}
}

func ffmpeg(options, target string) *exec.Cmd {
	cmd := exec.Command("ffmpeg", append(strings.Fields(source+options), target)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// stream takes the packets that ffmpeg sends.
func stream(out *bytes.Buffer, encoder string) error {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer conn.Close()
	cmd := ffmpeg(encoder+" -f rtp", fmt.Sprintf("rtp://%s?pkt_size=1200", conn.LocalAddr()))
	if err := cmd.Start(); err != nil {
		return err
	}
	buf := make([]byte, 1500)
	for {
		conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return cmd.Wait()
		}
		var p rtp.Packet
		if err := p.Unmarshal(buf[:n]); err != nil {
			return err
		}
		write(out, p.Timestamp, p.Marker, p.Payload)
	}
}

// encode cuts into packets what ffmpeg writes to its standard output.
func encode(out *bytes.Buffer, encoder string, payloader rtp.Payloader, split func([]byte) [][]byte) error {
	data, err := ffmpeg(encoder, "-").Output()
	if err != nil {
		return err
	}
	for i, frame := range split(data) {
		list := payloader.Payload(1188, frame)
		for j, payload := range list {
			write(out, uint32(i*9000), j == len(list)-1, payload)
		}
	}
	return nil
}

func ivf(data []byte) (frames [][]byte) {
	for data = data[32:]; len(data) >= 12; {
		size := binary.LittleEndian.Uint32(data)
		frames = append(frames, data[12:12+size])
		data = data[12+size:]
	}
	return frames
}

// whole cuts an H264 byte stream with one slice a picture at the ends of its slices.
func whole(data []byte) (frames [][]byte) {
	code := []byte{0, 0, 1}
	start := 0
	for at := bytes.Index(data, code); at >= 0; {
		next := bytes.Index(data[at+3:], code)
		end := len(data)
		if next >= 0 {
			end = at + 3 + next
		}
		if number := data[at+3] & 0x1f; number == 1 || number == 5 {
			frames = append(frames, data[start:end])
			start = end
		}
		if next < 0 {
			break
		}
		at = end
	}
	return frames
}

func write(out *bytes.Buffer, timestamp uint32, marker bool, payload []byte) {
	binary.Write(out, binary.BigEndian, uint16(len(payload)))
	binary.Write(out, binary.BigEndian, timestamp)
	binary.Write(out, binary.BigEndian, marker)
	out.Write(payload)
}
