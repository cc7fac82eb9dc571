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

	"siaran/cmd/siaran/internal/clip"
	"siaran/cmd/siaran/internal/demo"
	"siaran/cmd/siaran/internal/whip"
)

const publishTime = 5 * time.Second // until media can flow

// broadcast is a clip that is published for the time of the checks.
type broadcast struct {
	session *whip.Session
	stop    context.CancelFunc
	playing sync.WaitGroup
}

// close ends it at the server too.
func (b *broadcast) close(ctx context.Context) {
	if b == nil {
		return
	}
	b.stop()
	b.playing.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpTime)
	defer cancel()
	_ = b.session.Close(ctx) // the server notices by itself in the end
}

// ownStream is the stream that is published from here. It is the same for each run on one machine: the server
// remembers streams.
func ownStream() string {
	host, _ := os.Hostname() // without one it is as good
	sum := sha256.Sum256([]byte("siaran doctor " + host))
	return "doctor-" + hex.EncodeToString(sum[:4])
}

// publish makes a stream to watch, which is in no public list.
func (o *outside) publish(ctx context.Context) bool {
	const name = "stream"
	stream := ownStream()
	res, body, err := o.ask(ctx, http.MethodPatch, "/api/streams/"+stream, o.cfg.Token, map[string]string{"visibility": "private", "title": "siaran doctor"})
	switch {
	case err != nil:
		o.add(fail(name, fmt.Sprintf("the server does not answer a change of a stream: %s.", plainDial(err)), "Look at the server's log."))
		return false
	case res.StatusCode == http.StatusUnauthorized:
		o.add(fail(name, "the token is not accepted (401"+detail(body)+").", "Make a new one with siaran token, in the server's data folder; if it is good, look at both clocks."))
		return false
	case res.StatusCode == http.StatusForbidden:
		o.add(fail(name, "the token does not allow to publish "+stream+".", "Give one for all streams: siaran token --stream '*' --scope publish."))
		return false
	case res.StatusCode != http.StatusOK:
		o.add(fail(name, fmt.Sprintf("the stream cannot be made (%d%s).", res.StatusCode, detail(body)), "Look at the server's log; /readyz says whether the listing is well."))
		return false
	}
	o.stream, o.watch = stream, o.cfg.Token
	cast, _, err := o.broadcast(ctx, webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6)
	if err == nil {
		o.cast = cast
		o.add(ok(name, "%s is published over UDP for the checks that follow.", stream))
		return true
	}
	if said := (*whip.ServerError)(nil); errors.As(err, &said) {
		o.add(fail(name, fmt.Sprintf("the server does not take a broadcast: %s.", said), "Look at the server's log."))
		return false
	}
	if cast, _, err = o.broadcast(ctx, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6); err == nil {
		o.cast = cast
		o.add(warn(name, stream+" is published over TCP for the checks that follow: over UDP no broadcast comes through.", "See what is said of udp."))
		return true
	}
	o.add(fail(name, "the server takes a broadcast over HTTP, but its media comes through neither over UDP nor over TCP.", "Open the media port (--udp) in the firewalls, and see that --public-ip is right."))
	return false
}

// broadcast publishes the built-in clip over some kinds of network. The connection says, after an error, how far it had come.
func (o *outside) broadcast(ctx context.Context, networks ...webrtc.NetworkType) (*broadcast, *webrtc.PeerConnection, error) {
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
			e.LoggerFactory = silent
			e.SetNetworkTypes(networks)
			e.SetIncludeLoopbackCandidate(o.addrs[0].IsLoopback())
		},
		Opened: func(p *webrtc.PeerConnection) {
			pc = p
			pc.OnSignalingStateChange(func(state webrtc.SignalingState) {
				if state == webrtc.SignalingStateStable && len(announced(pc, networks[0])) == 0 {
					cancel() // there is nothing to wait for
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

// checkTCPMedia publishes over TCP, as an encoder does whose network lets no UDP out.
func (o *outside) checkTCPMedia(ctx context.Context) {
	const name = "ice-tcp"
	if o.cfg.Token == "" {
		o.add(Check{name, Skip, "broadcasting over TCP is tried with a token only.", "Give --token (siaran token --stream '*' --scope publish)."})
		return
	}
	if o.stream == "" || o.stream != ownStream() {
		o.add(skip(name, "not tried, as nothing could be published."))
		return
	}
	o.cast.close(ctx)
	o.cast = nil
	begun := time.Now()
	cast, pc, err := o.broadcast(ctx, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)
	if err == nil {
		cast.close(ctx)
		o.add(ok(name, "a broadcast over TCP was connected after %d ms.", time.Since(begun).Milliseconds()))
		return
	}
	if said := (*whip.ServerError)(nil); errors.As(err, &said) {
		o.add(fail(name, fmt.Sprintf("the server does not take a broadcast: %s.", said), "Look at the server's log."))
		return
	}
	if pc == nil || pc.RemoteDescription() == nil {
		o.add(fail(name, fmt.Sprintf("the server gives no answer: %v.", err), "Look at the server's log."))
		return
	}
	ports := announced(pc, webrtc.NetworkTypeTCP4)
	if len(ports) == 0 {
		o.add(skip(name, "the server takes no broadcasts over TCP (--tcp is off)."))
		return
	}
	o.add(o.noRoute(name, "TCP", ports))
}
