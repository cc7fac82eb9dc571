package ingest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"siaran"
)

// sender sends frames of the picture and packets of the sound in the bench's time, as OBS numbers them.
type sender struct {
	*bench
	numbers [2]uint16
	clock   [2]float64 // seconds of the timestamps: sound and picture
	speed   [2]float64 // of these clocks; 0: right
	delay   func() time.Duration
}

func (s *sender) run(d time.Duration) {
	const step = 20 * time.Millisecond
	key := []byte{0x65, 0x88, 1, 2}
	for range d / step {
		s.now = s.now.Add(step)
		sent := s.now
		if s.delay != nil {
			s.now = s.now.Add(s.delay())
		}
		for i, ssrc := range []uint32{6, 7} {
			s.clock[i] += step.Seconds() * (1 + s.speed[i])
			s.numbers[i]++
			rate, payloadType, payload := 48000.0, uint8(obsAudio), []byte{1, 2, 3}
			if i == 1 {
				rate, payloadType, payload = 90000, obsVideo, key
			}
			p := rtpPacket(s.numbers[i], uint32(int64(s.clock[i]*rate)), true, payload)
			p.SSRC, p.PayloadType = ssrc, payloadType
			s.take(p)
		}
		s.receiver.measure(s.now)
		s.now = sent
	}
}

func (s *sender) said() []string {
	return slices.DeleteFunc(s.warnings(), func(code string) bool { return code == "no-keyframe" })
}

func TestClocksAreCompared(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	jitter := func() time.Duration { return time.Duration(random.IntN(80)) * time.Millisecond }
	for name, test := range map[string]struct {
		speed [2]float64
		delay func() time.Duration
		want  []string
	}{
		"right":               {},
		"right, on bad Wi-Fi": {delay: jitter},
		"bad quartz":          {speed: [2]float64{100e-6, 100e-6}, delay: jitter},
		"sound too slow":      {speed: [2]float64{-900e-6, 0}, delay: jitter, want: []string{"apart"}},
		"both too slow":       {speed: [2]float64{-0.005, -0.005}, want: []string{"clock"}},
		"picture too fast":    {speed: [2]float64{0, 0.003}, want: []string{"clock", "apart"}},
	} {
		s := &sender{bench: newBench(t, readOffer(t, "whip-obs-shaped")), speed: test.speed, delay: test.delay}
		s.run(time.Minute)
		if got := s.said(); len(got) > 0 {
			t.Errorf("%s: after a minute: %v", name, got)
		}
		s.run(4 * time.Minute)
		if got := s.said(); !slices.Equal(got, test.want) {
			t.Errorf("%s: warnings %v, want %v", name, got, test.want)
		}
		for i, l := range s.receiver.health(s.now) {
			if off := l.Drift + 1e6*test.speed[i]; off > 400 || off < -400 {
				t.Errorf("%s: drift of %s %v, clock off by %v", name, l.Kind, l.Drift, test.speed[i])
			}
			if l.TimestampJumps != 0 || l.BackwardFrames != 0 {
				t.Errorf("%s: %d jumps, %d backward", name, l.TimestampJumps, l.BackwardFrames)
			}
		}
	}
}

func TestQueueBeforeASlowUpload(t *testing.T) {
	s := &sender{bench: newBench(t, readOffer(t, "whip-obs-shaped"))}
	wait := time.Duration(0)
	s.delay = func() time.Duration { return wait }
	s.run(10 * time.Second)
	for range 10 { // the queue grows by 50 ms a second
		wait += 50 * time.Millisecond
		s.run(time.Second)
	}
	if got := s.said(); !slices.Equal(got, []string{"upload"}) {
		t.Errorf("warnings %v", got)
	}
	if q := s.receiver.health(s.now)[1].Queue; q < 0.4 || q > 0.5 {
		t.Errorf("queue of %v s", q)
	}
	wait = 0
	s.run(4 * time.Second)
	if got := s.said(); len(got) > 0 {
		t.Errorf("later: warnings %v", got)
	}
}

// Chromium's sound without a microphone stands, and goes on with the next timestamp. Its sender reports tell viewers.
func TestTimestampsThatStoodAreNoQueue(t *testing.T) {
	s := &sender{bench: newBench(t, readOffer(t, "whip-obs-shaped"))}
	s.run(time.Minute)
	for range 3 {
		s.now = s.now.Add(8 * time.Second)
		s.clock[1] += 8 // the picture's have gone on
		for range 10 {
			s.run(time.Second)
			if got := s.said(); len(got) > 0 {
				t.Fatalf("warnings %v", got)
			}
		}
	}
	s.run(5 * time.Minute)
	if got := s.said(); len(got) > 0 {
		t.Errorf("later: warnings %v", got)
	}
	if n := s.receiver.health(s.now)[0].TimestampJumps; n != 0 {
		t.Errorf("%d jumps", n)
	}
}

func TestQueueAfterAnOutage(t *testing.T) {
	s := &sender{bench: newBench(t, readOffer(t, "whip-obs-shaped"))}
	wait := time.Duration(0)
	s.delay = func() time.Duration { return wait }
	s.run(10 * time.Second)
	for wait = 4 * time.Second; wait > time.Second; wait -= 50 * time.Millisecond { // it drains slowly
		s.run(time.Second / 2)
	}
	if got := s.said(); !slices.Equal(got, []string{"upload"}) {
		t.Errorf("warnings %v", got)
	}
}

func TestJumpsOfTimestamps(t *testing.T) {
	s := &sender{bench: newBench(t, readOffer(t, "whip-obs-shaped"))}
	s.run(2 * time.Second)
	s.now = s.now.Add(5 * time.Second) // an interruption is no jump
	s.clock[0] += 5
	s.clock[1] += 5
	s.run(2 * time.Second)
	if n := s.receiver.health(s.now)[1].TimestampJumps; n != 0 {
		t.Errorf("%d jumps", n)
	}
	for _, by := range []float64{3600, -60, 10} {
		s.clock[1] += by
		s.run(2 * time.Second)
	}
	l := s.receiver.health(s.now)
	if l[0].TimestampJumps != 0 || l[1].TimestampJumps != 3 || l[1].BackwardFrames != 0 {
		t.Errorf("sound %d jumps, picture %d and %d backward", l[0].TimestampJumps, l[1].TimestampJumps,
			l[1].BackwardFrames)
	}
	if got := s.said(); !slices.Equal(got, []string{"timestamps"}) {
		t.Errorf("warnings %v", got)
	}
}

func TestRepairsAreSpokenOf(t *testing.T) {
	for _, test := range []struct {
		lost, repaired float64
		want           []string
	}{{0, 0, nil}, {0, 2, nil}, {0, 6, []string{"repairs"}}, {2, 6, []string{"loss"}}} {
		h := Health{Connected: true, Layers: []LayerHealth{{
			Kind: siaran.KindAudio.String(), Packets: 1, LossPercent: test.lost, RepairedPercent: test.repaired,
		}}}
		h.warn()
		var got []string
		for _, w := range h.Warnings {
			got = append(got, w.Code)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%v %% lost, %v %% repaired: warnings %v, want %v", test.lost, test.repaired, got, test.want)
		}
	}
}

func TestProfilesThatBrowsersCannotShow(t *testing.T) {
	for _, test := range []struct {
		codec   siaran.CodecName
		profile string
		want    bool
	}{
		{siaran.H264, "High", false}, {siaran.H264, "High 4:4:4 Predictive", true}, {siaran.H264, "", false},
		{siaran.H265, "Main 10", false}, {siaran.H265, "Format Range Extensions", true},
		{siaran.VP9, "Profile 0", false}, {siaran.VP9, "Profile 1", true},
		{siaran.AV1, "Main", false}, {siaran.AV1, "High", true}, {siaran.VP8, "", false},
	} {
		h := Health{}
		h.warnOfBitstream(LayerHealth{Codec: string(test.codec), Profile: test.profile})
		if warned := len(h.Warnings) > 0 && h.Warnings[0].Code == "profile"; warned != test.want {
			t.Errorf("%s %q: warned %v", test.codec, test.profile, warned)
		}
	}
}
