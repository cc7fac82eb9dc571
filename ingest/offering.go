package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran/internal/sdp"
)

// A parent that is not heard for so long is gone. While its media comes, that is heard; while there is none, because
// its own broadcaster is interrupted, it answers the checks that are sent to it at this interval.
const (
	parentSilence  = 500 * time.Millisecond
	parentPatience = 250 * time.Millisecond // on top, as this process may have been slow itself
	parentChecks   = 200 * time.Millisecond
)

// openOffering opens the transport of a pull, and returns the candidates that the offer is to have. The parent is met
// when its answer is accepted.
func openOffering(
	ctx context.Context, server *Server, l local, to sinks, log *slog.Logger,
) (_ *transport, candidates []string, err error) {
	net, err := newSockets()
	if err != nil {
		return nil, nil, fmt.Errorf("ingest: network interfaces: %w", err)
	}
	t := &transport{sockets: net}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	e := t.settings(l, to, log)
	e.SetNet(net)
	e.SetIncludeLoopbackCandidate(true) // the parent may be on this machine
	e.SetICETimeouts(server.cfg.absence, server.limits.Load().SetupTimeout, parentChecks)
	if err := t.connect(e, l, net.connects, to.state); err != nil {
		return nil, nil, err
	}
	receive := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := t.pc.AddTransceiverFromKind(kind, receive); err != nil {
			return nil, nil, fmt.Errorf("ingest: %w", err)
		}
	}
	gathered := webrtc.GatheringCompletePromise(t.pc)
	offer, err := t.pc.CreateOffer(nil)
	if err != nil {
		return nil, nil, fmt.Errorf("ingest: %w", err)
	}
	if err := t.pc.SetLocalDescription(offer); err != nil {
		return nil, nil, fmt.Errorf("ingest: %w", err)
	}
	if err := gather(ctx, gathered); err != nil {
		return nil, nil, err
	}
	own, err := sdp.ParseOffer([]byte(t.pc.LocalDescription().SDP))
	if err != nil {
		return nil, nil, fmt.Errorf("ingest: our own description: %w", err)
	}
	if len(own.Candidates) == 0 {
		return nil, nil, errors.New("ingest: this machine has no network address")
	}
	return t, own.Candidates, nil
}

// accept takes the parent's answer. The operator has chosen the parent, so its candidates may be addresses of private
// networks and of this machine.
func (t *transport) accept(answer *sdp.Offer, spent func()) error {
	if usable := usableCandidates(answer.Candidates, 1, reachLocal); len(usable) > 0 {
		t.nudge = disguised(usable[0])
	}
	text, err := fixedOffer(answer, reachLocal)
	if err != nil {
		return err
	}
	t.sockets.expect(answer, spent)
	return t.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: text})
}

// impostor says whether the other side has shown another certificate than its description names; nil: it has not.
func (t *transport) impostor(described []sdp.Fingerprint) error {
	chain := t.pc.SCTP().Transport().GetRemoteCertificate()
	if len(chain) == 0 {
		return nil
	}
	return sdp.VerifyCertificate([][]byte{chain}, described)
}

// hurry makes pion's agent look at once whether a pair can be nominated, which it otherwise does every 200 ms. It looks
// when it gets another candidate. This one is an address that it has, in the guise of a worse one.
func (t *transport) hurry() {
	if t.nudge != "" {
		t.add([]string{t.nudge})
		t.nudge = ""
	}
}

// disguised is a candidate as a reflexive one with the lowest priority.
func disguised(candidate string) string {
	fields := strings.Fields(candidate)
	if len(fields) < 6 {
		return ""
	}
	return fmt.Sprintf("nudge 1 udp 1 %s %s typ srflx raddr 0.0.0.0 rport 0", fields[4], fields[5])
}
