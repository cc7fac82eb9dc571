package signalling

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	pionsdp "github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v3"

	"siaran/internal/sdp"
)

const fragmentType = "application/trickle-ice-sdpfrag"

// Restart restarts ICE between a connection and the server of its session (RFC 9725 section 4.3.3). It returns when
// the server has answered; the connection's state tells when there is a path. After an error, the connection has none
// before another call has succeeded. Errors include *[Error].
func (c *Client) Restart(ctx context.Context, session *url.URL, pc *webrtc.PeerConnection) error {
	before := pc.CurrentRemoteDescription()
	if before == nil {
		return errors.New("the connection has not been made yet")
	}
	offer, err := pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return err
	}
	answer, err := c.exchange(ctx, session, pc, before.SDP, gathered)
	if err != nil {
		answer = before.SDP // pion knows no rollback
	}
	description := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}
	return errors.Join(err, pc.SetRemoteDescription(description))
}

// exchange sends the connection's new credentials and returns the server's description with its new ones.
func (c *Client) exchange(
	ctx context.Context, session *url.URL, pc *webrtc.PeerConnection, before string, gathered <-chan struct{},
) (string, error) {
	select {
	case <-gathered:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	c.http.CloseIdleConnections() // they may lead through a network that is gone
	body, err := fragmentOf(pc.LocalDescription().SDP)
	if err != nil {
		return "", err
	}
	res, text, err := c.send(ctx, http.MethodPatch, session, fragmentType, body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", newError(res, text)
	}
	return renewed(before, text)
}

// fragmentOf is what the server needs of a description: the transport of its first section (RFC 8840 section 9).
func fragmentOf(description string) (string, error) {
	var d pionsdp.SessionDescription
	if err := d.UnmarshalString(description); err != nil {
		return "", err
	}
	if len(d.MediaDescriptions) == 0 {
		return "", errors.New("the description has no section")
	}
	var b strings.Builder
	m := d.MediaDescriptions[0]
	fmt.Fprintf(&b, "m=%s\r\n", m.MediaName.String())
	for _, a := range m.Attributes {
		switch a.Key {
		case "mid", "ice-ufrag", "ice-pwd", "candidate":
			fmt.Fprintf(&b, "a=%s:%s\r\n", a.Key, a.Value)
		}
	}
	return b.String() + "a=end-of-candidates\r\n", nil
}

// renewed is a description with the credentials and candidates of a fragment instead of its own.
func renewed(description string, fragment []byte) (string, error) {
	f, err := sdp.ParseFragment(fragment)
	if err != nil || f.Ufrag == "" {
		return "", errors.Join(errors.New("the server's answer to the restart cannot be used"), err)
	}
	var d pionsdp.SessionDescription
	if err := d.UnmarshalString(description); err != nil {
		return "", err
	}
	first := true
	for _, m := range d.MediaDescriptions {
		own := m.Attributes
		m.Attributes = nil
		for _, a := range own {
			switch a.Key {
			case "ice-ufrag":
				a.Value = f.Ufrag
			case "ice-pwd":
				a.Value = f.Password
			case "candidate", "end-of-candidates":
				continue
			}
			m.Attributes = append(m.Attributes, a)
		}
		if first && m.MediaName.Port.Value != 0 {
			first = false
			for _, candidate := range f.Candidates {
				m.WithValueAttribute("candidate", candidate)
			}
			m.WithPropertyAttribute("end-of-candidates")
		}
	}
	text, err := d.Marshal()
	return string(text), err
}
