package sdp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"siaran"
)

const (
	testHost    = "1 1 udp 2130706431 192.0.2.1 5000 typ host"
	testOther   = "2 1 udp 2130706430 192.0.2.2 5000 typ host"
	testLevel   = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
	testSection = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
)

func TestParseFragment(t *testing.T) {
	tests := []struct {
		name, text string
		candidates []string
		ufrag      string
		end        bool
	}{
		{"RFC 8840", testLevel + testSection + "a=candidate:" + testHost + "\r\na=end-of-candidates\r\n", []string{testHost},
			"abcd", true},
		{"credentials in the section", testSection + testLevel + "a=candidate:" + testHost + "\r\n", []string{testHost},
			"abcd", false},
		{"any section", testLevel + "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:" + testHost + "\r\n", []string{testHost},
			"abcd", false},
		{"no section", testLevel, nil, "abcd", false},
		{"no section, candidate", testLevel + "a=candidate:" + testHost + "\r\n", []string{testHost}, "abcd", false},
		{"no credentials", testSection + "a=candidate:" + testHost + "\r\n", []string{testHost}, "", false},
		{"several sections", testLevel + testSection + "a=candidate:" + testHost +
			"\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=candidate:" + testHost + "\r\na=candidate:" + testOther + "\r\n",
			[]string{testHost, testOther}, "abcd", false},
		{"sections that differ", testSection + testLevel + "a=candidate:" + testHost +
			"\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n" +
			strings.Replace(testLevel, "abcd", "wxyz", 1) + "a=candidate:" + testOther + "\r\n", []string{testHost}, "abcd",
			false},
		{"junk among the candidates", testLevel + testSection +
			"a=candidate:\r\na=candidate:x\r\na=candidate:1 2 udp 1 192.0.2.1 5000 typ host\r\na=candidate:" + testHost +
			"\r\na=candidate:1 1 udp 1 nowhere 5000 typ host\r\na=candidate:1 1 udp 1 192.0.2.1 99999 typ host\r\n",
			[]string{testHost}, "abcd", false},
		{"candidates of another session", testLevel + testSection + "a=candidate:" + testHost +
			" ufrag abcd\r\na=candidate:" + testOther + " generation 0 ufrag wxyz\r\n",
			[]string{testHost + " ufrag abcd"}, "abcd", false},
		{"end alone", "a=end-of-candidates", nil, "", true},
	}
	for _, test := range tests {
		for _, text := range []string{test.text, strings.ReplaceAll(test.text, "\r\n", "\n"), strings.TrimSpace(test.text),
			"\r\n" + test.text + "\r\n\r\n"} {
			f, err := ParseFragment([]byte(text))
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
				continue
			}
			if !slices.Equal(f.Candidates, test.candidates) || f.Ufrag != test.ufrag ||
				(f.Password != "") != (test.ufrag != "") || f.End != test.end {
				t.Errorf("%s: %+v", test.name, f)
			}
		}
	}
}

func TestParseFragmentTakesABoundedNumberOfCandidates(t *testing.T) {
	var b strings.Builder
	b.WriteString(testLevel)
	for section := range 3 {
		fmt.Fprintf(&b, "m=audio 9 RTP/AVP 0\r\na=mid:%d\r\n", section)
		for i := range 20 {
			fmt.Fprintf(&b, "a=candidate:%d 1 udp 1 192.0.2.%d 5000 typ host\r\n", section, i)
		}
	}
	f, err := ParseFragment([]byte(b.String()))
	if err != nil || len(f.Candidates) != maxFragmentCandidates {
		t.Fatalf("%v, %v", f, err)
	}
}

func TestParseFragmentRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":         "",
		"blank":         "\r\n \n",
		"not a line":    "hello",
		"JSON":          `{"candidate":"candidate:1"}`,
		"bytes":         "a=\x00",
		"too large":     "a=x:" + strings.Repeat("y", maxFragmentBytes),
		"ufrag alone":   "a=ice-ufrag:abcd\r\n",
		"pwd alone":     "a=ice-pwd:0123456789012345678901\r\n",
		"pwd too short": "a=ice-ufrag:abcd\r\na=ice-pwd:01\r\n",
		"bad section":   "m=nothing\r\n",
	} {
		if f, err := ParseFragment([]byte(text)); !errors.Is(err, siaran.ErrMalformedOffer) || f != nil {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

func FuzzParseFragment(f *testing.F) {
	f.Add([]byte(testLevel + testSection + "a=candidate:" + testHost + "\r\na=end-of-candidates\r\n"))
	f.Add([]byte(testSection + testLevel + "a=candidate:" + testHost + " generation 0 ufrag abcd network-id 1\n"))
	f.Add([]byte(testLevel + "m=audio 9 RTP/AVP 0\na=mid:0"))
	f.Add([]byte("a=candidate:1 1 tcp 1 fd00::1 9 typ host tcptype active"))
	f.Add([]byte("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:x\r\na=simulcast:send 0;;1\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ParseFragment(text)
		if err != nil {
			if got != nil || !errors.Is(err, siaran.ErrMalformedOffer) {
				t.Fatalf("%v, %v", got, err)
			}
			return
		}
		if (got.Ufrag == "") != (got.Password == "") || len(got.Candidates) > maxFragmentCandidates {
			t.Fatalf("%+v", got)
		}
		for _, c := range got.Candidates {
			if !isCandidate(c) || strings.ContainsAny(c, "\r\n") {
				t.Fatalf("candidate %q", c)
			}
		}
	})
}
