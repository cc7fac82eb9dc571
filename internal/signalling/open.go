package signalling

import (
	"context"
	"fmt"
	"net/url"

	"github.com/pion/webrtc/v3"
)

// Open makes a session of a connection whose tracks have been added: it offers, with all candidates, and takes the
// answer. The connection's state tells when there is a path. The session's URL is not nil if the server has made a
// session, even if Open fails then. Errors include *[Error].
func (c *Client) Open(ctx context.Context, endpoint *url.URL, pc *webrtc.PeerConnection) (session *url.URL, err error) {
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return nil, err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return nil, err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	made, err := c.Post(ctx, endpoint, pc.LocalDescription().SDP)
	if err != nil {
		return nil, err
	}
	answer := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: made.Answer}
	if err := pc.SetRemoteDescription(answer); err != nil {
		return made.URL, fmt.Errorf("the server's answer cannot be used: %w", err)
	}
	return made.URL, nil
}
