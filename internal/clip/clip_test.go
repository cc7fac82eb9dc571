package clip

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/webrtc/v3"
)

func file(name string) string { return filepath.Join("testdata", name) }

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		file, mime string
		frames     int
		long       time.Duration // from the first frame to the last
		fmtp       string
	}{
		{"vp8.ivf", webrtc.MimeTypeVP8, 12, 11 * time.Second / 30, ""},
		{"vp9.ivf", webrtc.MimeTypeVP9, 12, 11 * time.Second / 30, "profile-id=0"},
		{"av1.ivf", webrtc.MimeTypeAV1, 12, 11 * time.Second / 30, ""},
		{"slices.h264", webrtc.MimeTypeH264, 12, 11 * time.Second / 30, "profile-level-id=64000a"},
		{"tone.ogg", webrtc.MimeTypeOpus, 26, 500 * time.Millisecond, ""},
	} {
		t.Run(test.file, func(t *testing.T) {
			c, err := Open(file(test.file))
			if err != nil {
				t.Fatal(err)
			}
			track := c.Tracks()[0]
			if track.Codec.MimeType != test.mime || !strings.Contains(track.Codec.SDPFmtpLine, test.fmtp) {
				t.Errorf("codec %+v", track.Codec)
			}
			frames := all(t, track)
			if len(frames) != test.frames {
				t.Errorf("%d frames, want %d", len(frames), test.frames)
			}
			if frames[0].At != 0 {
				t.Errorf("the first frame is at %s", frames[0].At)
			}
			if last := frames[len(frames)-1].At; (last - test.long).Abs() > time.Millisecond {
				t.Errorf("the last frame is at %s, want %s", last, test.long)
			}
		})
	}
}

func all(t *testing.T, track Track) []Frame {
	t.Helper()
	closer, r, err := track.start()
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	var frames []Frame
	for {
		f, err := r.next()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
}

func TestOpenRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.ivf")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		files []string
		want  error
		says  string
	}{
		{"nothing", nil, ErrTracks, ""},
		{"missing", []string{file("none.ivf")}, os.ErrNotExist, ""},
		{"empty", []string{empty}, ErrFormat, "IVF"},
		{"other format", []string{"clip.go"}, ErrFormat, ".go"},
		{"B-frames", []string{file("bframes.h264")}, nil, ""}, // the first frame has none: found while playing
		{"no Opus", []string{file("vorbis.ogg")}, ErrFormat, "libopus"},
		{"two videos", []string{file("vp8.ivf"), file("vp9.ivf")}, ErrTracks, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(test.files...)
			if !errors.Is(err, test.want) || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBFramesAreExplained(t *testing.T) {
	c, err := Open(file("bframes.h264"))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		err := c.Play(t.Context(), false, func(int, Frame) error { return nil })
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "-bf 0") {
			t.Errorf("got %v", err)
		}
	})
}

// TestPlay plays three rounds of picture and sound on a fake clock: each frame comes when it is due, and time goes on
// across rounds.
func TestPlay(t *testing.T) {
	c, err := Open(file("vp8.ivf"), file("tone.ogg"))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := time.Now()
		var last [2]time.Duration
		var count [2]int
		err := c.Play(ctx, true, func(track int, f Frame) error {
			if late := time.Since(began) - f.At; late != 0 {
				t.Errorf("track %d: a frame of %s comes %s late", track, f.At, late)
			}
			if count[track] > 0 {
				step := f.At - last[track]
				if track == 1 && step != 20*time.Millisecond {
					t.Errorf("a step of %s between sounds", step)
				}
				// The sound is longer: the last picture of a round stands until the next round.
				if track == 0 && (step < 33*time.Millisecond || step > 34*time.Millisecond) &&
					step != 520*time.Millisecond-11*time.Second/30 {
					t.Errorf("a step of %s between pictures", step)
				}
			}
			last[track] = f.At
			if count[track]++; count[0] == 3*12 {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if count[1] < 2*26+18 {
			t.Errorf("%d sounds", count[1])
		}
	})
}

func TestPlayOnceLasts(t *testing.T) {
	c, err := Open(file("tone.ogg"))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := c.Play(t.Context(), false, func(int, Frame) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if long := time.Since(began); long != 520*time.Millisecond {
			t.Errorf("lasted %s", long)
		}
	})
}

// TestPlayAfterSleep leaves out the time that was lost, rather than to hurry after it.
func TestPlayAfterSleep(t *testing.T) {
	c, err := Open(file("tone.ogg"))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := 0
		began := time.Now()
		err := c.Play(t.Context(), false, func(int, Frame) error {
			if n++; n == 10 {
				time.Sleep(time.Minute)
			}
			return nil
		})
		if long := time.Since(began); err != nil || long < time.Minute+300*time.Millisecond {
			t.Errorf("lasted %s, %v", long, err)
		}
	})
}

func TestOGGPacketOverPages(t *testing.T) {
	packet := append([]byte{0xfc}, bytes.Repeat([]byte{7}, 599)...) // one frame of 20 ms
	var b bytes.Buffer
	b.Write(page(1, []byte{19}, append([]byte("OpusHead"), make([]byte, 11)...)))
	b.Write(page(9, []byte{4}, []byte("else")))                                          // another stream
	b.Write(page(1, []byte{255, 255}, packet[:510]))                                     // goes on
	b.Write(page(1, []byte{90, 0}, packet[510:]))                                        // and an empty packet
	b.Write(page(1, append(bytes.Repeat([]byte{255}, 250), 5), make([]byte, 250*255+5))) // too big
	b.Write(page(1, []byte{2}, []byte{0xfc, 1}))
	o, err := newOGG(&b)
	if err != nil {
		t.Fatal(err)
	}
	f, err := o.next()
	if err != nil || !bytes.Equal(f.Data, packet) || f.Long != 20*time.Millisecond {
		t.Fatalf("%d bytes, %s, %v", len(f.Data), f.Long, err)
	}
	if f, err = o.next(); err != nil || len(f.Data) != 2 || f.At != 20*time.Millisecond {
		t.Fatalf("%d bytes at %s, %v", len(f.Data), f.At, err)
	}
	if _, err = o.next(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func page(serial byte, lacing, body []byte) []byte {
	head := append([]byte("OggS"), make([]byte, 23)...)
	head[14], head[26] = serial, byte(len(lacing))
	return append(append(head, lacing...), body...)
}

// FuzzReaders feeds junk to all parsers: they end, with frames within their bounds.
func FuzzReaders(f *testing.F) {
	names, err := filepath.Glob(file("*.*"))
	if err != nil || len(names) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, parse := range []func(io.Reader) (reader, error){
			func(r io.Reader) (reader, error) { return newIVF(r) },
			func(r io.Reader) (reader, error) { return newOGG(r) },
			func(r io.Reader) (reader, error) { return newH264(r) },
		} {
			r, err := parse(bytes.NewReader(text))
			if err != nil {
				continue
			}
			for range len(text) + 2 {
				frame, err := r.next()
				if err != nil {
					break
				}
				if len(frame.Data) > maxFrame || frame.At < 0 || frame.Long < 0 {
					t.Fatalf("a frame of %d bytes at %s", len(frame.Data), frame.At)
				}
			}
		}
	})
}
