package ingest

import (
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"siaran"
)

// spoken is the RTCP types and formats of a datagram.
func spoken(t *testing.T, datagram []rtcp.Packet) string {
	t.Helper()
	data, err := rtcp.Marshal(datagram)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := rtcp.Unmarshal(data)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, p := range packets {
		switch p.(type) {
		case *rtcp.ReceiverReport:
			names = append(names, "RR")
		case *rtcp.SourceDescription:
			names = append(names, "SDES")
		case *rtcp.TransportLayerNack:
			names = append(names, "NACK")
		case *rtcp.PictureLossIndication:
			names = append(names, "PLI")
		case *rtcp.FullIntraRequest:
			names = append(names, "FIR")
		default:
			names = append(names, "other")
		}
	}
	return strings.Join(names, " ")
}

// TestFeedbackInTheFormOfItsSection loses a packet of the video. FFmpeg offers a=rtcp-rsize for the video and not for
// the sound, and hears a NACK only when nothing else is in its datagram.
func TestFeedbackInTheFormOfItsSection(t *testing.T) {
	const inAudio, inVideo = 1, 2
	tests := []struct {
		name    string
		reduced int // sections with a=rtcp-rsize
		noPLI   bool
		want    []string
	}{
		{"both", inAudio | inVideo, false, []string{"NACK", "PLI"}},
		{"video only, as FFmpeg", inVideo, false, []string{"NACK", "PLI"}},
		{"video only, with FIR", inVideo, true, []string{"NACK", "FIR"}},
		{"audio only", inAudio, false, []string{"RR SDES NACK", "RR SDES PLI"}},
		{"none", 0, true, []string{"RR SDES NACK", "RR SDES FIR"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			offer := readOffer(t, "whip-firefox")
			if test.noPLI {
				offer = replace(t, offer, "a=rtcp-fb:120 nack pli\r\n", "")
			}
			b := newBench(t, offer)
			for i := range b.receiver.demux.sections {
				section := b.receiver.demux.sections[i].choice.section
				section.RTCPReduced = test.reduced&inVideo != 0
				if section.Kind == siaran.KindAudio {
					section.RTCPReduced = test.reduced&inAudio != 0
				}
			}
			b.times.report = b.now // no report is due
			b.take(video(firefoxVideo, 1, 0, 1))
			b.take(video(firefoxVideo, 3, 0, 1))
			var got []string
			gather := func(packets []rtcp.Packet) {
				for _, d := range b.receiver.datagrams(packets) {
					if s := spoken(t, d); !strings.Contains(s, "other") {
						got = append(got, s)
					}
				}
			}
			for len(got) == 0 && b.now.Before(b.times.report.Add(time.Second/2)) {
				b.now = b.now.Add(tickWaiting)
				out, _ := b.receiver.dueFeedback(b.now, &b.times)
				gather(out)
			}
			out, _ := b.receiver.dueKeyframeRequests(b.now, false)
			gather(out)
			if strings.Join(got, ", ") != strings.Join(test.want, ", ") {
				t.Errorf("said %q, want %q", got, test.want)
			}
		})
	}
}

// TestReportsGoApart: a report that is due takes no NACK along where that may go alone, and is a compound of its own.
func TestReportsGoApart(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	b.take(video(firefoxVideo, 1, 0, 1))
	report := b.receiver.reports(b.now)
	nack := &rtcp.TransportLayerNack{MediaSSRC: firefoxVideo, Nacks: []rtcp.NackPair{{PacketID: 2}}}
	list := b.receiver.datagrams(append(report, nack))
	if len(list) != 2 || spoken(t, list[0]) != "NACK" || spoken(t, list[1]) != "RR SDES" {
		t.Errorf("said %v", list)
	}
}

// TestEveryDatagramOfACompoundBeginsWithAReport has more to say than goes into one.
func TestEveryDatagramOfACompoundBeginsWithAReport(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	var packets []rtcp.Packet
	for i := range 300 {
		packets = append(packets, &rtcp.PictureLossIndication{MediaSSRC: uint32(i) + 1}) // of sources that nobody knows
	}
	list := b.receiver.datagrams(packets)
	count := 0
	for _, d := range list {
		data, err := rtcp.Marshal(d)
		if err != nil || len(data) > maxReport || !strings.HasPrefix(spoken(t, d), "RR SDES PLI") {
			t.Errorf("%d bytes, %v, %.30s", len(data), err, spoken(t, d))
		}
		count += len(d) - 2
	}
	if count != len(packets) || len(list) < 3 {
		t.Errorf("%d packets in %d datagrams", count, len(list))
	}
}
