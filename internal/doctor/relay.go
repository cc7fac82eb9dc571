package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"github.com/pion/ice/v2"
	"github.com/pion/stun"
	"github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
	"github.com/pion/turn/v2"
	"github.com/pion/webrtc/v3"

	"siaran/internal/iceurl"
	"siaran/internal/pionlog"
)

// transportKind is how a client reaches a relay.
type transportKind string

const (
	overUDP transportKind = "UDP"
	overTCP transportKind = "TCP"
	overTLS transportKind = "TLS"
)

// relay is a TURN server that clients are given.
type relay struct {
	host, port           string
	over                 transportKind
	username, credential string
}

func (r relay) String() string { return net.JoinHostPort(r.host, r.port) }

const (
	maxRelays = 3 // for each transport
	maxTried  = 3 // addresses of a relay
)

// relaysOver returns the relays that are reached over a transport.
func (o *remote) relaysOver(kind transportKind) []relay {
	var list []relay
	for _, s := range o.ice {
		for _, text := range s.URLs {
			u, err := iceurl.Parse(text)
			if err != nil || len(list) == maxRelays {
				continue
			}
			r := relay{host: u.Host, port: strconv.Itoa(u.Port), username: s.Username, credential: s.Credential}
			switch {
			case u.Scheme == stun.SchemeTypeTURN && u.Proto == stun.ProtoTypeUDP:
				r.over = overUDP
			case u.Scheme == stun.SchemeTypeTURN:
				r.over = overTCP
			case u.Scheme == stun.SchemeTypeTURNS && u.Proto == stun.ProtoTypeTCP:
				r.over = overTLS
			}
			if r.over == kind {
				list = append(list, r)
			}
		}
	}
	return list
}

// checkRelays watches through each relay that is reached over a transport, and in no other way.
func (o *remote) checkRelays(ctx context.Context, name string, kind transportKind) []Check {
	relays := o.relaysOver(kind)
	if len(relays) == 0 {
		return []Check{skip(name, "clients are given no relay over %s.", kind)}
	}
	results := make([][]Check, len(relays))
	var running sync.WaitGroup
	for i, r := range relays {
		running.Go(func() { results[i] = o.checkRelay(ctx, name, r) })
	}
	running.Wait()
	var list []Check
	for _, checks := range results {
		list = append(list, checks...)
	}
	return list
}

func (o *remote) checkRelay(ctx context.Context, name string, r relay) []Check {
	ctx, cancel := context.WithTimeout(ctx, mediaTime)
	defer cancel()
	a, trouble := o.allocate(ctx, name, r)
	if a == nil {
		return trouble
	}
	defer a.close()
	v := o.watchStream(ctx, func(e *webrtc.SettingEngine) {
		// The session has no other address than the relayed one.
		e.SetICEUDPMux(a.mux)
		e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
		e.SetIncludeLoopbackCandidate(true)
	})
	denied := a.conn.refusal(stun.MethodCreatePermission)
	what := fmt.Sprintf("the relay %s over %s", r, r.over)
	switch {
	case v.media:
		return append(trouble, ok(name, "media came through %s, %d ms after the request.", what, v.took.Milliseconds()))
	case refused(v.err) != "":
		return append(trouble, fail(name, "the server refuses a viewer: "+refused(v.err)+".", "Look at the server's log."))
	case v.err != nil && !v.connected && denied != 0:
		return append(trouble, fail(name, fmt.Sprintf("%s refuses to reach the media port %s (%d).", what,
			listedPorts(v.announced), denied), "Check --public-ip. If you run the relay elsewhere, allow it to reach these "+
			"addresses."))
	case v.err != nil && !v.connected:
		return append(trouble, fail(name, fmt.Sprintf("%s works, but nothing comes back through it from the media port %s.",
			what, listedPorts(v.announced)), "Check that the relay can reach the media port, and check --public-ip."))
	case v.err != nil:
		return append(trouble, fail(name, what+" connects, but the DTLS handshake fails.", "Look at the server's log."))
	}
	return append(trouble, fail(name, what+" connects, but no media arrives.",
		"Check that the broadcaster is still sending, and look at the server's log."))
}

// allocation is a relayed address.
type allocation struct {
	conn   *relayConn
	client *turn.Client
	mux    ice.UDPMux // over the relayed address
}

func (a *allocation) close() {
	if a.mux != nil {
		_ = a.mux.Close() // closes the relayed address too
	}
	a.client.Close()
	_ = a.conn.Close() // nothing is buffered
}

// allocate connects to a relay and asks for an address. On failure the allocation is nil, and the checks say at which
// stage.
func (o *remote) allocate(ctx context.Context, name string, r relay) (*allocation, []Check) {
	ips, err := lookup(ctx, o.cfg.Resolver, r.host)
	if err != nil || len(ips) == 0 {
		return nil, []Check{fail(name, fmt.Sprintf("the relay's name %s has no address: %s.", r.host, plainDNS(err)),
			"Correct the domain's records, or --base-url, --public-ip or --ice-server, where the name comes from.")}
	}
	// Addresses that TCP reached come first: there may be no route to those of the other family.
	slices.SortStableFunc(ips, func(a, b netip.Addr) int { return o.unreached(a) - o.unreached(b) })
	for i, ip := range ips[:min(len(ips), maxTried)] {
		a, trouble := o.allocateAt(ctx, name, r, net.JoinHostPort(ip.String(), r.port))
		if a != nil || i+1 == min(len(ips), maxTried) || ctx.Err() != nil {
			return a, trouble
		}
	}
	return nil, nil
}

// unreached is 0 for an address that TCP reached, else 1.
func (o *remote) unreached(ip netip.Addr) int {
	if slices.Contains(o.addrs, ip) {
		return 0
	}
	return 1
}

func (o *remote) allocateAt(ctx context.Context, name string, r relay, at string) (*allocation, []Check) {
	conn, trouble := o.dialRelay(ctx, name, r, at)
	if conn == nil {
		return nil, trouble
	}
	a := &allocation{conn: conn}
	plain, err := stdnet.NewNet()
	if err == nil {
		a.client, err = turn.NewClient(&turn.ClientConfig{
			STUNServerAddr: at, TURNServerAddr: at, Conn: conn, Net: anyFamily{plain},
			Username: r.username, Password: r.credential, LoggerFactory: pionlog.Silent,
		})
	}
	if err == nil {
		err = a.client.Listen()
	}
	if err != nil {
		conn.Close() // it was not used
		return nil, []Check{fail(name, fmt.Sprintf("the relay %s cannot be used: %v.", r, err), "Look at the server's log.")}
	}
	end := context.AfterFunc(ctx, a.client.Close) // ends what waits in Allocate
	relayed, err := a.client.Allocate()
	end()
	if err != nil {
		a.close()
		code := conn.refusal(stun.MethodAllocate)
		if ctx.Err() != nil { // a 401 may be the usual one that asks for credentials
			code = 0
		}
		return nil, append(trouble, explainAllocate(name, r, code, o.url.Host))
	}
	a.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: relayed, Logger: pionlog.Silent.NewLogger("ice")})
	return a, trouble
}

// dialRelay connects to a relay. If it fails, the checks say why; otherwise they may warn.
func (o *remote) dialRelay(ctx context.Context, name string, r relay, at string) (*relayConn, []Check) {
	if r.over == overUDP {
		conn, err := net.ListenPacket("udp", ":0")
		if err != nil {
			return nil, []Check{fail(name, fmt.Sprintf("this machine cannot open a UDP port: %v.", err),
				"Allow this program to use the network.")}
		}
		return &relayConn{PacketConn: conn}, nil
	}
	dialing, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(dialing, "tcp", at)
	if err != nil {
		return nil, []Check{fail(name, fmt.Sprintf("the relay cannot be reached at TCP %s: %s.", at, plainDial(err)),
			remedyOfDial(err, "TCP "+r.port))}
	}
	if r.over == overTCP {
		return &relayConn{PacketConn: turn.NewSTUNConn(conn)}, nil
	}
	secure, checks := handshake(ctx, name, conn, r.host, o.cfg.Roots)
	if secure == nil {
		return nil, checks
	}
	checks = slices.DeleteFunc(checks, func(c Check) bool { return c.Status == OK })
	return &relayConn{PacketConn: turn.NewSTUNConn(secure)}, checks
}

// explainAllocate reports why a relay gives no address. code is its last error, or 0 if it did not answer.
func explainAllocate(name string, r relay, code stun.ErrorCode, host string) Check {
	what := fmt.Sprintf("the relay %s over %s", r, r.over)
	switch code {
	case 0:
		if r.over == overUDP {
			return fail(name, what+" does not answer: no route over UDP.",
				"Open UDP port "+r.port+" in the firewalls of the server and of its provider, or in that of this network.")
		}
		return fail(name, what+" accepts the connection but does not answer as TURN.",
			"Check that nothing else listens there, and that a proxy in front of it forwards TURN.")
	case stun.CodeUnauthorized, stun.CodeBadRequest:
		return fail(name, fmt.Sprintf("%s refuses the credentials (%d).", what, code), "Check the clocks of the server "+
			"and of the relay. If you run the relay yourself, check that both have the same secret.")
	case stun.CodeForbidden:
		return fail(name, fmt.Sprintf("%s refuses us (%d).", what, code), "Look at its log.")
	case stun.CodeAllocQuotaReached, stun.CodeInsufficientCapacity:
		return fail(name, fmt.Sprintf("%s is full, or its quota is used up (%d).", what, code), "Wait, or raise its quotas.")
	}
	return fail(name, fmt.Sprintf("%s refuses the request (%d).", what, code), "Look at the log of "+host+".")
}

// relayConn records the errors that a relay answers, and drops messages that would make pion/turn panic.
type relayConn struct {
	net.PacketConn

	mu    sync.Mutex
	codes map[stun.Method]stun.ErrorCode // the last of each
}

func (w *relayConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := w.PacketConn.ReadFrom(b)
		if err != nil || !stun.IsMessage(b[:n]) {
			return n, from, err
		}
		m := &stun.Message{Raw: append([]byte(nil), b[:n]...)}
		if m.Decode() != nil || !addressesWhole(m) {
			continue
		}
		w.note(m)
		return n, from, nil
	}
}

func (w *relayConn) note(m *stun.Message) {
	if m.Type.Class != stun.ClassErrorResponse {
		return
	}
	var code stun.ErrorCodeAttribute
	if code.GetFrom(m) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.codes == nil {
		w.codes = make(map[stun.Method]stun.ErrorCode)
	}
	w.codes[m.Type.Method] = code.Code
}

func (w *relayConn) refusal(m stun.Method) stun.ErrorCode {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.codes[m]
}

// anyFamily resolves addresses of both families, where pion/turn asks for IPv4.
type anyFamily struct{ transport.Net }

func (anyFamily) ResolveUDPAddr(_, address string) (*net.UDPAddr, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, errors.New("not an address")
	}
	return net.UDPAddrFromAddrPort(at), nil
}
