package doctor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran/internal/clip"
	"siaran/internal/demo"
	"siaran/internal/pionlog"
	"siaran/internal/signalling"
	"siaran/internal/whip"
)

const publishTime = 5 * time.Second // until media can flow

// broadcast is a clip that is published during the checks.
type broadcast struct {
	session *whip.Session
	stop    context.CancelFunc
	playing sync.WaitGroup
}

// close also ends the session at the server.
func (b *broadcast) close(ctx context.Context) {
	if b == nil {
		return
	}
	b.stop()
	b.playing.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpTime)
	defer cancel()
	_ = b.session.Close(ctx) // otherwise the server notices after a while
}

// ownStream is the name of the stream that is published. It is the same for each run on one machine, because the server
// remembers streams.
func ownStream() string {
	host, _ := os.Hostname() // works without one too
	sum := sha256.Sum256([]byte("siaran doctor " + host))
	return "doctor-" + hex.EncodeToString(sum[:4])
}

// publish makes a private stream to watch.
func (o *remote) publish(ctx context.Context) bool {
	const name = "stream"
	stream := ownStream()
	res, body, err := o.ask(ctx, http.MethodPatch, "/api/streams/"+stream, o.cfg.Token,
		map[string]string{"visibility": "private", "title": "siaran doctor"})
	switch {
	case err != nil:
		o.add(fail(name, fmt.Sprintf("the server does not answer a request to create a stream: %s.", plainDial(err)),
			"Look at the server's log."))
		return false
	case res.StatusCode == http.StatusUnauthorized:
		o.add(fail(name, "the token is not accepted (401"+detail(body)+").", "Make a new one with siaran token in the "+
			"server's data folder. If the token is valid, check both clocks."))
		return false
	case res.StatusCode == http.StatusForbidden:
		o.add(fail(name, "the token does not allow publishing "+stream+".",
			"Use one for all streams: siaran token --stream '*' --scope publish."))
		return false
	case res.StatusCode != http.StatusOK:
		o.add(fail(name, fmt.Sprintf("the stream cannot be created (%d%s).", res.StatusCode, detail(body)),
			"Look at the server's log; /readyz says whether the listing works."))
		return false
	}
	o.stream, o.watch = stream, o.cfg.Token
	cast, _, err := o.broadcast(ctx, webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6)
	if err == nil {
		o.cast = cast
		o.add(ok(name, "%s is published over UDP for the following checks.", stream))
		return true
	}
	if refusal := (*signalling.Error)(nil); errors.As(err, &refusal) {
		o.add(fail(name, fmt.Sprintf("the server refuses a broadcast: %s.", refusal), "Look at the server's log."))
		return false
	}
	if cast, _, err = o.broadcast(ctx, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6); err == nil {
		o.cast = cast
		o.add(warn(name, stream+" is published over TCP for the following checks, because broadcasting over UDP fails.",
			"See the check udp."))
		return true
	}
	o.add(fail(name, "the server accepts a broadcast over HTTP, but its media gets through neither over UDP nor over "+
		"TCP.", "Open the media port (--udp) in the firewalls, and check --public-ip."))
	return false
}

// broadcast publishes the built-in clip over some kinds of network. After an error, the connection shows how far it
// got.
func (o *remote) broadcast(ctx context.Context, networks ...webrtc.NetworkType) (*broadcast, *webrtc.PeerConnection,
	error) {
	media, err := demo.Clip()
	if err != nil {
		return nil, nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	var pc *webrtc.PeerConnection
	cfg := whip.Config{
		URL: o.url.String() + "/whip/" + o.stream, Token: o.cfg.Token, Client: o.client,
		Setting: func(e *webrtc.SettingEngine) {
			e.LoggerFactory = pionlog.Silent
			e.SetNetworkTypes(networks)
			e.SetIncludeLoopbackCandidate(o.addrs[0].IsLoopback())
		},
		Opened: func(p *webrtc.PeerConnection) {
			pc = p
			pc.OnSignalingStateChange(func(state webrtc.SignalingState) {
				if state == webrtc.SignalingStateStable && len(announced(pc, networks[0])) == 0 {
					cancel() // the server has no such address, so there is nothing to wait for
				}
			})
		},
	}
	for _, t := range media.Tracks() {
		cfg.Tracks = append(cfg.Tracks, t.Codec)
	}
	session, err := whip.Dial(dialing, cfg)
	if err != nil {
		return nil, pc, err
	}
	playing, stop := context.WithCancel(ctx)
	b := &broadcast{session: session, stop: stop}
	b.playing.Go(func() {
		_ = media.Play(playing, true, func(track int, f clip.Frame) error { return session.Write(track, f.Data, f.At) })
	})
	return b, pc, nil
}

// checkTCPMedia publishes over TCP, as an encoder does if its network blocks UDP.
func (o *remote) checkTCPMedia(ctx context.Context) {
	const name = "ice-tcp"
	if o.cfg.Token == "" {
		o.add(Check{name, Skip, "broadcasting over TCP is only tried with a token.",
			"Set --token (siaran token --stream '*' --scope publish)."})
		return
	}
	if o.stream == "" || o.stream != ownStream() {
		o.add(skip(name, "not tried, because nothing could be published."))
		return
	}
	o.cast.close(ctx)
	o.cast = nil
	begun := time.Now()
	cast, pc, err := o.broadcast(ctx, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)
	if err == nil {
		cast.close(ctx)
		o.add(ok(name, "a broadcast over TCP connected after %d ms.", time.Since(begun).Milliseconds()))
		return
	}
	if refusal := (*signalling.Error)(nil); errors.As(err, &refusal) {
		o.add(fail(name, fmt.Sprintf("the server refuses a broadcast: %s.", refusal), "Look at the server's log."))
		return
	}
	if pc == nil || pc.RemoteDescription() == nil {
		o.add(fail(name, fmt.Sprintf("the server does not answer: %v.", err), "Look at the server's log."))
		return
	}
	ports := announced(pc, webrtc.NetworkTypeTCP4)
	if len(ports) == 0 {
		o.add(skip(name, "the server accepts no broadcasts over TCP (--tcp is off)."))
		return
	}
	o.add(o.noRoute(name, "TCP", ports))
}
