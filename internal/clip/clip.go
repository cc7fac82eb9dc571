package clip

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pion/webrtc/v3"
)

// Frame is what is sent at one moment: a picture, or one Opus packet.
type Frame struct {
	Data []byte
	At   time.Duration // since the beginning of the clip; while playing, since the first round began
	Long time.Duration // 0 when the file does not say
}

// Track is the encoded media of one file.
type Track struct {
	Codec webrtc.RTPCodecCapability
	path  string
	open  func() (io.ReadCloser, error)
	parse func(io.Reader) (reader, error)
}

// reader gives the frames of a file in order, and io.EOF at its end.
type reader interface{ next() (Frame, error) }

// Clip is audio, video or both.
type Clip struct{ tracks []Track }

// Tracks are the clip's tracks; their order is that of the files.
func (c *Clip) Tracks() []Track { return c.tracks }

// Errors of files that cannot be broadcast.
var (
	ErrFormat = errors.New("not a file that can be broadcast")
	ErrTracks = errors.New("a clip is one video file, one audio file, or one of each")
)

// frameRate is assumed of H264 files that do not say theirs.
const frameRate = 25

// Open looks into one or two files. Errors of their content are ErrFormat and ErrTracks.
func Open(paths ...string) (*Clip, error) {
	return open(func(path string) (io.ReadCloser, error) { return os.Open(path) }, paths)
}

// OpenFS does the same in a file system.
func OpenFS(files fs.FS, paths ...string) (*Clip, error) {
	return open(func(path string) (io.ReadCloser, error) { return files.Open(path) }, paths)
}

func open(opener func(string) (io.ReadCloser, error), paths []string) (*Clip, error) {
	c := &Clip{}
	kinds := make(map[string]bool)
	for _, path := range paths {
		t := Track{path: path, open: func() (io.ReadCloser, error) { return opener(path) }}
		if err := t.probe(); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		kind, _, _ := strings.Cut(t.Codec.MimeType, "/")
		if kinds[kind] {
			return nil, ErrTracks
		}
		kinds[kind] = true
		c.tracks = append(c.tracks, t)
	}
	if len(c.tracks) == 0 {
		return nil, ErrTracks
	}
	return c, nil
}

// probe finds the codec and reads the first frame, so that what is wrong is said at once.
func (t *Track) probe() error {
	f, err := t.open()
	if err != nil {
		return err
	}
	defer f.Close() // was only read
	in := bufio.NewReaderSize(f, 1<<16)
	magic, _ := in.Peek(4)
	switch {
	case string(magic) == "DKIF":
		t.parse = func(r io.Reader) (reader, error) { return newIVF(r) }
	case string(magic) == "OggS":
		t.parse = func(r io.Reader) (reader, error) { return newOGG(r) }
	case len(magic) == 4 && magic[0] == 0 && magic[1] == 0 && (magic[2] == 1 || magic[2] == 0 && magic[3] == 1):
		t.parse = func(r io.Reader) (reader, error) { return newH264(r) }
	default:
		return fmt.Errorf("%w: give IVF (VP8, VP9 or AV1), H264 Annex B or OGG with Opus, not %q",
			ErrFormat, filepath.Ext(t.path))
	}
	r, err := t.parse(in)
	if err != nil {
		return err
	}
	if _, err := r.next(); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: there is no media in it", ErrFormat)
		}
		return err
	}
	t.Codec = r.(interface {
		codec() webrtc.RTPCodecCapability
	}).codec()
	return nil
}

// start opens the track at its beginning.
func (t *Track) start() (io.Closer, reader, error) {
	f, err := t.open()
	if err != nil {
		return nil, nil, err
	}
	r, err := t.parse(bufio.NewReaderSize(f, 1<<16))
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, r, nil
}
