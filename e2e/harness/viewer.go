package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/testutil"
	"siaran/internal/whep"
)

// Viewer keeps what it receives.
type Viewer struct {
	t         testing.TB
	Session   *whep.Session
	once      sync.Once
	OfferedAt time.Time // when the offer was sent, or a little before

	mu            sync.Mutex
	tracks        map[webrtc.RTPCodecType]*receivedTrack
	FirstKeyframe time.Time
	newest        int64 // sequence number of the newest picture's first packet
	picture       int   // its number; -1: there is none
	keyframes     []time.Time
}

// Watch starts a viewer, which leaves when the test ends. Options may change its settings. The viewer waits for the
// stream to go live: a broadcaster whose first packets are on their way, or lost, is not live yet. It comes again when
// it is told to, as by an edge whose parent has not answered for seconds.
func (s *Server) Watch(t testing.TB, stream siaran.StreamName, options ...func(*whep.Config)) *Viewer {
	t.Helper()
	var v *Viewer
	var err error
	Eventually(t, "the stream is live", func() bool {
		v, err = s.TryWatch(t, stream, options...)
		if Refused(err, http.StatusServiceUnavailable) {
			t.Logf("a viewer comes again: %v", err)
			return false
		}
		return !Refused(err, http.StatusConflict)
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TryWatch is Watch for a test that expects an error.
func (s *Server) TryWatch(t testing.TB, stream siaran.StreamName, options ...func(*whep.Config)) (*Viewer, error) {
	v := &Viewer{t: t, tracks: map[webrtc.RTPCodecType]*receivedTrack{}, OfferedAt: time.Now(), picture: -1}
	cfg := whep.Config{
		URL: s.WHEP(stream), Client: s.Client, Packet: v.packet, Report: v.report, Within: testutil.Patience,
	}
	cfg.Setting = func(e *webrtc.SettingEngine) {
		e.SetNet(testutil.RoomyNet(t))
		e.SetICETimeouts(testutil.Patience/2, testutil.Patience, 2*time.Second) // a busy machine may stand still
	}
	for _, o := range options {
		o(&cfg)
	}
	session, err := whep.Dial(t.Context(), cfg)
	if err != nil {
		return nil, err
	}
	v.Session = session
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(v.state())
		}
		v.Leave()
	})
	return v, nil
}

// state says how far a viewer has come, and what it lacks.
func (v *Viewer) state() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	text := fmt.Sprintf("a viewer's newest picture is %d", v.picture)
	for kind, t := range v.tracks {
		newest := t.next - 1
		for n := range t.packets {
			newest = max(newest, n)
		}
		text += fmt.Sprintf("; %s: %d packets from %d to %d", kind, len(t.packets), t.first, newest)
		if newest >= t.next {
			text += fmt.Sprintf(", but not %d", t.next)
		}
	}
	return text
}

// Leave ends the session with a DELETE.
func (v *Viewer) Leave() {
	v.once.Do(func() {
		if err := v.Session.Close(context.Background()); err != nil {
			v.t.Logf("a viewer leaves: %v", err)
		}
	})
}

// Vanish ends the viewer and leaves the session behind.
func (v *Viewer) Vanish() {
	v.once.Do(func() {
		if err := v.Session.Abandon(); err != nil {
			v.t.Error(err)
		}
	})
}

func (v *Viewer) track(kind webrtc.RTPCodecType) *receivedTrack {
	if v.tracks[kind] == nil {
		v.tracks[kind] = newReceivedTrack(kind)
	}
	return v.tracks[kind]
}

func (v *Viewer) packet(kind webrtc.RTPCodecType, p *rtp.Packet) {
	v.mu.Lock()
	defer v.mu.Unlock()
	sequence := v.track(kind).add(p)
	if number, key, ok := pictureIn(kind, p); ok {
		if v.picture < 0 || sequence > v.newest {
			v.newest, v.picture = sequence, number
		}
		if key {
			v.keyframes = append(v.keyframes, time.Now())
		}
	}
	if kind == webrtc.RTPCodecTypeVideo && v.FirstKeyframe.IsZero() && p.Marker {
		v.FirstKeyframe = time.Now() // CheckContinuous checks that the first frame is a key frame
	}
}

func (v *Viewer) report(kind webrtc.RTPCodecType, r *rtcp.SenderReport) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.track(kind)
	t.reports = append(t.reports, r)
}

// VideoFrames returns the frames that can be shown without a gap: from the first packet up to the first one that is
// missing.
func (v *Viewer) VideoFrames() []Frame { return v.frames(webrtc.RTPCodecTypeVideo) }

// AudioFrames is VideoFrames for audio.
func (v *Viewer) AudioFrames() []Frame { return v.frames(webrtc.RTPCodecTypeAudio) }

func (v *Viewer) frames(kind webrtc.RTPCodecType) []Frame {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.track(kind)
	if t.err != nil {
		v.t.Errorf("a broken packet: %v", t.err)
	}
	return slices.Clone(t.frames)
}

// Reports returns the sender reports of a track (RFC 3550 section 6.4.1).
func (v *Viewer) Reports(kind webrtc.RTPCodecType) []*rtcp.SenderReport {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.track(kind).reports)
}

// WaitFrame waits until video frame n or a later one can be shown.
func (v *Viewer) WaitFrame(n int) {
	v.t.Helper()
	Eventually(v.t, fmt.Sprintf("frame %d arrives", n), func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		list := v.track(webrtc.RTPCodecTypeVideo).frames
		return len(list) > 0 && list[len(list)-1].Number >= n
	})
}

// WaitPicture waits until picture n or a later one has begun to come, whatever is missing before it.
func (v *Viewer) WaitPicture(n int) {
	v.t.Helper()
	Eventually(v.t, fmt.Sprintf("picture %d comes", n), func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.picture >= n
	})
}

// WaitKeyframe waits for a key frame that comes after a time, whatever is missing before it, and returns when it came.
func (v *Viewer) WaitKeyframe(after time.Time) (came time.Time) {
	v.t.Helper()
	Eventually(v.t, "a key frame arrives", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		i := slices.IndexFunc(v.keyframes, after.Before)
		if i >= 0 {
			came = v.keyframes[i]
		}
		return i >= 0
	})
	return came
}

// CheckContinuous reports what is wrong with the media that a viewer has received from a single broadcaster. The first
// video frame must be a key frame, and from there on every frame of video and audio must be complete, in order and in
// time.
func (v *Viewer) CheckContinuous() error {
	video, audio := v.VideoFrames(), v.AudioFrames()
	if len(video) == 0 || len(audio) == 0 {
		return errors.New("nothing arrives")
	}
	if !video[0].Key {
		return errors.New("the first frame is not a key frame")
	}
	if err := CheckConsecutive(video, uint32(FrameInterval.Seconds()*90000)); err != nil {
		return fmt.Errorf("video: %w", err)
	}
	if err := CheckConsecutive(audio, uint32(AudioInterval.Seconds()*48000)); err != nil {
		return fmt.Errorf("audio: %w", err)
	}
	return nil
}
