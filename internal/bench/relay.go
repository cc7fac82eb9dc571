package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun"
)

const (
	firstChannel  = 0x4000 // RFC 8656 section 12
	channelHeader = 4
	relayRepeat   = 250 * time.Millisecond // until a request over UDP that got no answer is sent again
	relayRefresh  = 4 * time.Minute        // permissions last for five
	udpProtocol   = 17                     // of REQUESTED-TRANSPORT
)

// relayClient is a viewer's side of a relay. It is as cheap as possible: once its channels are bound, it adds and
// removes four bytes. The viewer's lock guards all of it.
type relayClient struct {
	out      socket // connected; a datagram is a message
	stream   bool   // over TCP or TLS, where nothing is lost and lengths are multiples of four
	username stun.Username
	password string
	realm    stun.Realm // from the server, like the nonce
	nonce    stun.Nonce
	key      stun.MessageIntegrity

	pending map[[stun.TransactionIDSize]byte]chan *stun.Message
	peers   []netip.AddrPort // of the channels, by number
	fixed   uint16           // channel that send uses
	frame   []byte
	refresh time.Duration // when to refresh; 0: not known yet
}

func newRelayClient(out socket, stream bool, server relayServer) *relayClient {
	return &relayClient{
		out: out, stream: stream, username: stun.NewUsername(server.username), password: server.credential,
		pending: make(map[[stun.TransactionIDSize]byte]chan *stun.Message),
	}
}

// request builds a request, which is signed once the server has sent its realm and nonce.
func (r *relayClient) request(method stun.Method, setters ...stun.Setter) (*stun.Message, error) {
	all := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, setters...)
	if r.key != nil {
		all = append(all, r.username, r.realm, r.nonce, r.key)
	}
	return stun.Build(append(all, stun.Fingerprint)...)
}

// ask performs a transaction, and repeats it with the nonce that the server sends. The viewer must not be locked.
func (v *viewer) ask(ctx context.Context, method stun.Method, setters ...stun.Setter) (*stun.Message, error) {
	for range 3 {
		m, err := v.askOnce(ctx, method, setters...)
		if err != nil {
			return nil, err
		}
		if m.Type.Class == stun.ClassSuccessResponse {
			return m, nil
		}
		var code stun.ErrorCodeAttribute
		if err := code.GetFrom(m); err != nil {
			return nil, errors.New("the relay refuses without a reason")
		}
		v.mu.Lock()
		challenged := v.relay.challenge(m, code.Code)
		v.mu.Unlock()
		if !challenged {
			return nil, fmt.Errorf("%s: the relay answers %s", method, code)
		}
	}
	return nil, errors.New("the relay asks for credentials again and again")
}

// challenge takes realm and nonce from a refusal, and reports whether another attempt makes sense.
func (r *relayClient) challenge(m *stun.Message, code stun.ErrorCode) bool {
	if code != stun.CodeStaleNonce && (code != stun.CodeUnauthorized || r.key != nil) {
		return false
	}
	if r.nonce.GetFrom(m) != nil || r.realm.GetFrom(m) != nil {
		return false
	}
	r.nonce, r.realm = slices.Clone(r.nonce), slices.Clone(r.realm)
	r.key = stun.NewLongTermIntegrity(string(r.username), string(r.realm), r.password)
	return true
}

func (v *viewer) askOnce(ctx context.Context, method stun.Method, setters ...stun.Setter) (*stun.Message, error) {
	v.mu.Lock()
	r := v.relay
	m, err := r.request(method, setters...)
	if err != nil {
		v.mu.Unlock()
		return nil, err
	}
	answer := make(chan *stun.Message, 1)
	r.pending[m.TransactionID] = answer
	r.write(m.Raw)
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		delete(r.pending, m.TransactionID)
		v.mu.Unlock()
	}()
	again := time.NewTicker(relayRepeat)
	defer again.Stop()
	for {
		select {
		case m := <-answer:
			return m, nil
		case <-again.C:
			v.mu.Lock()
			if !r.stream && !v.closed {
				r.write(m.Raw)
			}
			v.mu.Unlock()
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: the relay does not answer", method)
		}
	}
}

// allocate gets a relayed address, and binds a channel to each of the server's addresses that the relay permits. It
// returns those addresses. The viewer must not be locked.
func (v *viewer) allocate(ctx context.Context, candidates []netip.AddrPort) ([]netip.AddrPort, error) {
	if _, err := v.ask(ctx, stun.MethodAllocate, number(stun.AttrRequestedTransport, udpProtocol<<24)); err != nil {
		return nil, err
	}
	var reached []netip.AddrPort
	var refused error
	for _, to := range worthAChannel(candidates) {
		channel := uint16(firstChannel + len(reached))
		channelNumber := number(stun.AttrChannelNumber, uint32(channel)<<16)
		if _, err := v.ask(ctx, stun.MethodChannelBind, channelNumber, peerAddress(to)); err != nil {
			refused = err
			continue
		}
		v.mu.Lock()
		v.relay.peers = append(v.relay.peers, to)
		v.mu.Unlock()
		reached = append(reached, to)
	}
	if len(reached) == 0 {
		return nil, fmt.Errorf("the relay permits none of the server's %d addresses: %w", len(candidates), refused)
	}
	return reached, nil
}

// worthAChannel leaves out addresses that a relay is unlikely to reach if there are better ones: each channel takes
// time.
func worthAChannel(candidates []netip.AddrPort) []netip.AddrPort {
	for _, good := range []func(netip.Addr) bool{
		func(ip netip.Addr) bool { return ip.Is4() && !ip.IsLoopback() }, // most relayed addresses are IPv4
		func(ip netip.Addr) bool { return !ip.IsLoopback() },
	} {
		list := slices.DeleteFunc(slices.Clone(candidates), func(a netip.AddrPort) bool { return !good(a.Addr()) })
		if len(list) > 0 {
			return list
		}
	}
	return candidates
}

func number(attribute stun.AttrType, value uint32) stun.Setter {
	return stun.RawAttribute{Type: attribute, Value: binary.BigEndian.AppendUint32(nil, value)}
}

// peerAddress is XOR-PEER-ADDRESS.
type peerAddress netip.AddrPort

func (p peerAddress) AddTo(m *stun.Message) error {
	a := netip.AddrPort(p)
	return stun.XORMappedAddress{IP: a.Addr().AsSlice(), Port: int(a.Port())}.AddToAs(m, stun.AttrXORPeerAddress)
}

// take parses a message from the relay. If ok, it carries data, and b is a part of message.
func (r *relayClient) take(message []byte) (b []byte, from netip.AddrPort, ok bool) {
	switch {
	case len(message) < channelHeader:
	case message[0] < 4:
		r.answered(message)
	default:
		channel, length := binary.BigEndian.Uint16(message), int(binary.BigEndian.Uint16(message[2:]))
		if channel >= firstChannel && int(channel-firstChannel) < len(r.peers) && length <= len(message)-channelHeader {
			return message[channelHeader : channelHeader+length], r.peers[channel-firstChannel], true
		}
	}
	return nil, from, false
}

func (r *relayClient) answered(b []byte) {
	m := &stun.Message{Raw: slices.Clone(b)}
	if m.Decode() != nil || m.Type.Class != stun.ClassSuccessResponse && m.Type.Class != stun.ClassErrorResponse {
		return
	}
	if waiting := r.pending[m.TransactionID]; waiting != nil {
		select {
		case waiting <- m:
		default:
		}
		return
	}
	var code stun.ErrorCodeAttribute // of a refresh
	if m.Type.Class == stun.ClassErrorResponse && code.GetFrom(m) == nil && r.challenge(m, code.Code) {
		r.refresh = 1 // at once
	}
}

func (r *relayClient) write(b []byte) { r.out.send(b) }

// onChannel sends data on a channel.
func (r *relayClient) onChannel(channel uint16, b []byte) {
	r.frame = binary.BigEndian.AppendUint16(r.frame[:0], channel)
	r.frame = binary.BigEndian.AppendUint16(r.frame, uint16(len(b)))
	r.frame = append(r.frame, b...)
	for r.stream && len(r.frame)%4 != 0 { // RFC 8656 section 12.5
		r.frame = append(r.frame, 0)
	}
	r.write(r.frame)
}

// sendTo sends data to an address. If it has no channel, the data is lost.
func (r *relayClient) sendTo(b []byte, to netip.AddrPort) {
	if at := slices.Index(r.peers, to); at >= 0 {
		r.onChannel(uint16(firstChannel+at), b)
	}
}

func (r *relayClient) send(b []byte) { r.onChannel(r.fixed, b) }

func (r *relayClient) fix(to netip.AddrPort) error {
	at := slices.Index(r.peers, to)
	if at < 0 {
		return errors.New("the address has no channel")
	}
	r.fixed = uint16(firstChannel + at)
	return nil
}

// tick refreshes the allocation and the channels. It does not wait for answers: there is time for many attempts.
func (r *relayClient) tick(now time.Duration) {
	if r.refresh == 0 {
		r.refresh = now + relayRefresh
		return
	}
	if now < r.refresh {
		return
	}
	r.refresh = now + relayRefresh
	if m, err := r.request(stun.MethodRefresh); err == nil {
		r.write(m.Raw)
	}
	for i, to := range r.peers {
		channel := number(stun.AttrChannelNumber, uint32(firstChannel+i)<<16)
		if m, err := r.request(stun.MethodChannelBind, channel, peerAddress(to)); err == nil {
			r.write(m.Raw)
		}
	}
}

// leave releases the relayed address.
func (r *relayClient) leave() {
	if r.key == nil {
		return
	}
	if m, err := r.request(stun.MethodRefresh, number(stun.AttrLifetime, 0)); err == nil {
		r.write(m.Raw)
	}
}
