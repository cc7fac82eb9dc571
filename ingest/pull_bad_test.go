package ingest

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"siaran"
)

// answered returns an edit of an answer.
func answered(pattern, with string) func([]byte) []byte {
	return func(answer []byte) []byte { return regexp.MustCompile(pattern).ReplaceAll(answer, []byte(with)) }
}

// fingerprinted gives an answer a fingerprint that no certificate has.
func fingerprinted(algorithm string, size int) func([]byte) []byte {
	value := strings.TrimSuffix(strings.Repeat("00:", size), ":")
	return answered(`a=fingerprint:.*\r\n`, "a=fingerprint:"+algorithm+" "+value+"\r\n")
}

func TestBadParents(t *testing.T) {
	const patience = time.Second
	fixed := func(text string) func([]byte) []byte { return func([]byte) []byte { return []byte(text) } }
	for name, test := range map[string]struct {
		edit func([]byte) []byte
		want string // in the error; empty: that of a connection or of media, as fast as the machine was
	}{
		"page":              {fixed("<!doctype html>\n<title>Hello</title>\n"), "not with SDP"},
		"problem":           {fixed(`{"title":"Not Found"}`), "not with SDP"},
		"nothing":           {fixed(""), "it is empty"},
		"huge":              {fixed("v=0\r\n" + strings.Repeat("a=x\r\n", 1<<20)), "larger than"},
		"cut off":           {func(b []byte) []byte { return b[:len(b)/2] }, "its answer"},
		"binary":            {fixed("\x00\x01\x02\r\n"), "not text"},
		"no fingerprint":    {answered(`a=fingerprint:.*\r\n`, ""), "no a=fingerprint"},
		"weak fingerprint":  {fingerprinted("sha-1", 20), "SHA-256"},
		"other fingerprint": {fingerprinted("sha-256", 32), "certificate"},
		"no credentials":    {answered(`a=ice-pwd:.*\r\n`, ""), "belong together"},
		"refused":           {answered(`m=(audio|video) \d+ `, "m=$1 0 "), "refuses both"},
		"inactive":          {answered(`a=sendonly`, "a=inactive"), "neither audio nor video"},
		"two streams":       {answered(`msid:siaran video`, "msid:other video"), "more than one MediaStream"},
		"one section":       {answered(`(?s)m=video.*`, ""), "m= section"},
		"swapped sections": {func(b []byte) []byte {
			return []byte(strings.NewReplacer("m=audio", "m=video", "m=video", "m=audio").Replace(string(b)))
		}, "other m= sections"},
		"other codec":      {answered(`(?i)VP8/90000`, "H263/90000"), "no video codec"},
		"other number":     {answered(`\b116\b`, "115"), "no video codec"},
		"no candidates":    {answered(`a=candidate:.*\r\n`, ""), ""},
		"wrong credential": {answered(`a=ice-pwd:.*\r\n`, "a=ice-pwd:"+strings.Repeat("x", 32)+"\r\n"), ""},
		"metadata service": {answered(` 127\.0\.0\.1 \d+ typ`, " 169.254.169.254 80 typ"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edge := start(t, func(c *Config) {
				if test.want == "" {
					c.SetupTimeout = patience
				}
			})
			origin := startParent(t)
			origin.play(25)
			_, err := edge.Pull(t.Context(), PullConfig{Stream: "cats", Owner: "relay", Exchange: origin.exchange(test.edit)})
			if !errors.Is(err, ErrParent) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if len(err.Error()) > 400 {
				t.Errorf("%d bytes", len(err.Error()))
			}
			t.Log(err)
			if _, err := edge.hub.Broadcast("cats"); !errors.Is(err, siaran.ErrNotLive) {
				t.Error("there is a broadcast all the same")
			}
		})
	}
}

// FuzzPullAnswer reads answers of any kind. What is agreed on is what was offered.
func FuzzPullAnswer(f *testing.F) {
	f.Add([]byte(sampleAnswer))
	f.Add([]byte(strings.Replace(sampleAnswer, "m=audio 9", "m=audio 0", 1)))
	at := strings.Index(sampleAnswer, "m=video")
	layer := strings.Replace(sampleAnswer[at:], "117 96\r\n", "117\r\na=rid:l send\r\n", 1)
	other := strings.NewReplacer("mid:1", "mid:2", "rid:l", "rid:h", "ssrc:5", "ssrc:6").Replace(layer)
	f.Add([]byte(strings.Replace(sampleAnswer[:at], "BUNDLE 0 1", "BUNDLE 0 1 2", 1) + layer + other))
	f.Add([]byte("<html>"))
	offered := pullFormats()
	f.Fuzz(func(t *testing.T, text []byte) {
		answer, list, err := readAnswer(text, pulledSections([]string{"l", "h"}), offered)
		if err != nil {
			if len(err.Error()) > 400 {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
			return
		}
		if len(list) == 0 || len(list) > 3 {
			t.Fatalf("%d sections", len(list))
		}
		for _, a := range list {
			for i := range a {
				c := &a[i]
				if len(a) > len(offered) || c.spec().Codec.Name.Kind() != c.section.Kind || len(c.spec().RIDs) > 1 {
					t.Errorf("%+v", c)
				}
			}
		}
		if _, err := fixedOffer(answer, reachLocal); err != nil {
			t.Error(err)
		}
	})
}

const sampleAnswer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE 0 1\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n" +
	"a=ice-ufrag:abcdefgh\r\na=ice-pwd:abcdefghabcdefghabcdefgh\r\n" +
	"a=fingerprint:sha-256 00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00" +
	":00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\r\n" +
	"a=setup:passive\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=sendonly\r\na=rtcp-mux\r\n" +
	"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 stereo=1\r\na=msid:s audio\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 116 117 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n" +
	"a=ice-ufrag:abcdefgh\r\na=ice-pwd:abcdefghabcdefghabcdefgh\r\na=setup:passive\r\na=sendonly\r\na=rtcp-mux\r\n" +
	"a=rtpmap:116 VP8/90000\r\na=rtcp-fb:116 nack\r\na=rtcp-fb:116 nack pli\r\n" +
	"a=rtpmap:117 rtx/90000\r\na=fmtp:117 apt=116\r\n" +
	"a=rtpmap:96 H264/90000\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n" +
	"a=msid:s video\r\na=ssrc:5 msid:s video\r\n"
