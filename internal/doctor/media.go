package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v3"

	"siaran/internal/pionlog"
	"siaran/internal/signalling"
	"siaran/internal/whep"
)

const (
	mediaTime    = 7 * time.Second // for one session, until its first packet
	notLivePause = 200 * time.Millisecond
	maxAnnounced = 16
)

// media watches a stream in each possible way, all at the same time.
func (o *remote) media(ctx context.Context) {
	defer func() { o.cast.close(ctx) }()
	if !o.findStream(ctx) {
		for _, name := range mediaStages {
			o.add(skip(name, "not tried, because there is no stream to watch."))
		}
		o.checkTCPMedia(ctx)
		return
	}
	checks := []func(context.Context) []Check{
		o.checkUDP,
		func(ctx context.Context) []Check { return o.checkRelays(ctx, "turn-udp", overUDP) },
		func(ctx context.Context) []Check { return o.checkRelays(ctx, "turn-tcp", overTCP) },
		func(ctx context.Context) []Check { return o.checkRelays(ctx, "turn-tls", overTLS) },
	}
	results := make([]chan []Check, len(checks))
	for i, check := range checks {
		results[i] = make(chan []Check, 1)
		go func() { results[i] <- check(ctx) }()
	}
	for _, result := range results {
		o.add(<-result...)
	}
	o.checkTCPMedia(ctx)
}

// findStream publishes a stream if there is a token, or finds one that is live.
func (o *remote) findStream(ctx context.Context) bool {
	if o.cfg.Token != "" && o.publish(ctx) {
		return true
	}
	res, body, err := o.ask(ctx, http.MethodGet, "/api/streams", "", nil)
	if err != nil || res.StatusCode != http.StatusOK {
		o.add(fail("stream", "the list of streams (/api/streams) cannot be fetched.",
			"Look at the server's log; /readyz says whether the listing works."))
		return false
	}
	var list struct {
		Streams []struct {
			Name, Status string
			Video        *struct{}
		}
	}
	if err := json.Unmarshal(body, &list); err != nil {
		o.add(fail("stream", "the list of streams (/api/streams) cannot be read.",
			"Check that the server has the same version."))
		return false
	}
	for _, s := range list.Streams {
		if s.Status == "live" && s.Video != nil {
			o.stream = s.Name
			if o.cfg.Token == "" {
				o.add(ok("stream", "%s is live and is watched for the following checks.", s.Name))
			}
			return true
		}
	}
	if o.cfg.Token == "" {
		o.add(Check{"stream", Skip, "no public stream is live, so media is not tested.",
			"Go live, or set --token (siaran token --stream '*' --scope publish) to publish one for a moment."})
	}
	return false
}

// watchResult is how far a viewer got.
type watchResult struct {
	err       error // nil: media can flow
	connected bool  // ICE connected
	took      time.Duration
	media     bool   // a packet arrived
	over      string // address of the server's side
	announced []netip.AddrPort
}

// watchStream watches the stream until the first packet arrives, or for mediaTime.
func (o *remote) watchStream(ctx context.Context, setting func(*webrtc.SettingEngine)) watchResult {
	ctx, cancel := context.WithTimeout(ctx, mediaTime)
	defer cancel()
	for {
		v := o.watchOnce(ctx, setting)
		var status *signalling.Error
		if !errors.As(v.err, &status) || status.Code != http.StatusConflict { // a new stream is not live at once
			return v
		}
		select {
		case <-time.After(notLivePause):
		case <-ctx.Done():
			return v
		}
	}
}

func (o *remote) watchOnce(ctx context.Context, setting func(*webrtc.SettingEngine)) (v watchResult) {
	var pc *webrtc.PeerConnection
	var connected atomic.Bool
	first := make(chan struct{}, 1)
	begun := time.Now()
	s, err := whep.Dial(ctx, whep.Config{
		URL: o.url.String() + "/whep/" + o.stream, Token: o.watch, Client: o.client,
		Packet: func(webrtc.RTPCodecType, *rtp.Packet) {
			select {
			case first <- struct{}{}:
			default:
			}
		},
		Setting: func(e *webrtc.SettingEngine) {
			e.LoggerFactory = pionlog.Silent
			e.SetIncludeLoopbackCandidate(o.addrs[0].IsLoopback())
			setting(e)
		},
		Opened: func(p *webrtc.PeerConnection) {
			pc = p
			pc.OnICEConnectionStateChange(func(state webrtc.ICEConnectionState) {
				if state == webrtc.ICEConnectionStateConnected {
					connected.Store(true)
				}
			})
		},
	})
	if err == nil {
		select {
		case <-first:
			v.media, v.took = true, time.Since(begun)
		case <-ctx.Done():
		case <-s.Lost():
		}
		v.over = remoteOf(pc)
		_ = s.Close(context.WithoutCancel(ctx)) // otherwise the server notices after a while
	}
	v.err, v.connected = err, connected.Load()
	if pc != nil {
		v.announced = announced(pc, webrtc.NetworkTypeUDP4)
	}
	return v
}

func remoteOf(pc *webrtc.PeerConnection) string {
	for _, r := range pc.GetReceivers() {
		if t := r.Transport(); t != nil {
			if pair, err := t.ICETransport().GetSelectedCandidatePair(); err == nil && pair != nil {
				return netip.AddrPortFrom(addrOf(pair.Remote.Address), pair.Remote.Port).String()
			}
		}
	}
	return "an unknown address"
}

func addrOf(s string) netip.Addr {
	ip, _ := netip.ParseAddr(s) // the zero value shows as invalid
	return ip
}

// announced returns the server's addresses for media over UDP or TCP from its answer, each once.
func announced(pc *webrtc.PeerConnection, network webrtc.NetworkType) []netip.AddrPort {
	if answer := pc.RemoteDescription(); answer != nil {
		return candidatesIn(answer.SDP, network.Protocol())
	}
	return nil
}

func candidatesIn(answer, protocol string) []netip.AddrPort {
	var d sdp.SessionDescription
	if d.Unmarshal([]byte(answer)) != nil {
		return nil
	}
	attributes := slices.Clone(d.Attributes)
	for _, m := range d.MediaDescriptions {
		attributes = append(attributes, m.Attributes...)
	}
	var list []netip.AddrPort
	for _, a := range attributes {
		if a.Key != sdp.AttrKeyCandidate || len(list) == maxAnnounced {
			continue
		}
		c, err := ice.UnmarshalCandidate(a.Value)
		if err != nil || c.NetworkType().NetworkShort() != protocol {
			continue
		}
		if at := netip.AddrPortFrom(addrOf(c.Address()), uint16(c.Port())); at.IsValid() && !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	return list
}

func listedPorts(list []netip.AddrPort) string {
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}

// checkUDP watches directly over UDP, as most viewers do.
func (o *remote) checkUDP(ctx context.Context) []Check {
	const name = "udp"
	v := o.watchStream(ctx, func(e *webrtc.SettingEngine) {
		e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	})
	switch {
	case v.media:
		return []Check{ok(name, "media came directly from %s, %d ms after the request.", v.over, v.took.Milliseconds())}
	case refused(v.err) != "":
		return []Check{fail(name, "the server refuses a viewer: "+refused(v.err)+".", "Look at the server's log.")}
	case v.err != nil && !v.connected:
		return []Check{o.noRoute(name, "UDP", v.announced)}
	case v.err != nil:
		return []Check{fail(name, "UDP works, but the DTLS handshake fails.",
			"Look for a firewall on the path that changes or drops large UDP packets.")}
	}
	return []Check{fail(name, "connected, but no media arrives.",
		"Check that the broadcaster is still sending, and look at the server's log.")}
}

// noRoute reports what is known about a media port that does not answer.
func (o *remote) noRoute(name, network string, announced []netip.AddrPort) Check {
	if !o.addrs[0].IsLoopback() { // loopback addresses are for programs on the server's machine
		announced = slices.DeleteFunc(slices.Clone(announced), func(a netip.AddrPort) bool { return a.Addr().IsLoopback() })
	}
	if len(announced) == 0 {
		return fail(name, "the server announces no address for media.", "Set --public-ip on the server.")
	}
	port := announced[0].Port()
	inside := !slices.ContainsFunc(announced, func(a netip.AddrPort) bool { return !private(a.Addr()) })
	if inside && !private(o.addrs[0]) {
		return fail(name, fmt.Sprintf("no route over %s: the server announces private addresses only (%s).", network,
			listedPorts(announced)),
			fmt.Sprintf("Set --public-ip %s on the server, and forward %s %d to it.", o.addrs[0], network, port))
	}
	remedy := fmt.Sprintf("Open %s port %d in the firewalls of the server and of its provider, or in that of this "+
		"network.", network, port)
	if !slices.ContainsFunc(announced, func(a netip.AddrPort) bool { return slices.Contains(o.addrs, a.Addr()) }) {
		remedy += " If this is not the server's address, correct --public-ip."
	}
	return fail(name, fmt.Sprintf("no route over %s: %s does not answer.", network, listedPorts(announced)), remedy)
}

// refused returns the server's refusal of a request for media, or an empty string if it did not refuse.
func refused(err error) string {
	var status *signalling.Error
	if errors.As(err, &status) {
		text := strconv.Itoa(status.Code) + " " + strings.ToLower(http.StatusText(status.Code))
		if status.Detail != "" {
			text += ": " + status.Detail
		}
		return text
	}
	return ""
}
