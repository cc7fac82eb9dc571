package egress_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	pionsdp "github.com/pion/sdp/v3"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v3"
	"github.com/pion/transport/v5/deadline"

	"siaran"
	"siaran/internal/sdp"
	"siaran/internal/testutil"
)

// rawViewer is a viewer that can do anything on the wire. It is a net.PacketConn for its side of DTLS.
type rawViewer struct {
	*net.UDPConn
	t           testing.TB
	server      *net.UDPAddr
	id          siaran.SessionID
	name        string // of its checks
	pwd, ownPwd string
	certificate *tls.Certificate

	mute    atomic.Bool  // leaves questions unanswered
	checked atomic.Int64 // questions that came
	answers chan []byte
	dtls    chan []byte
	media   atomic.Int64 // bytes that came as RTP or RTCP
	until   *deadline.Deadline
}

var fingerprintLine = regexp.MustCompile(`(?m)a=fingerprint:[^\r\n]*`)

// newRawViewer opens a session from a socket on an address of loopback, and sends nothing.
func newRawViewer(t testing.TB, s *stage, host, setup string) *rawViewer {
	t.Helper()
	text, err := os.ReadFile("../internal/sdp/testdata/offers/whep-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	v := &rawViewer{
		UDPConn: listenOn(t, host), t: t,
		server: net.UDPAddrFromAddrPort(s.socket.Addresses()[0]), certificate: testutil.Certificate(t),
		answers: make(chan []byte, 64), dtls: make(chan []byte, 64), until: deadline.New(),
	}
	sum := sha256.Sum256(v.certificate.Certificate[0])
	hex := strings.ToUpper(strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":"))
	text = fingerprintLine.ReplaceAll(text, []byte("a=fingerprint:sha-256 "+hex))
	text = []byte(strings.ReplaceAll(string(text), "a=setup:actpass", "a=setup:"+setup))
	offer, err := sdp.ParseOffer(text)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.server.Offer(context.Background(), stream, "", netip.Addr{}, text)
	if err != nil {
		t.Fatal(err)
	}
	var d pionsdp.SessionDescription
	if err := d.Unmarshal(answer.SDP); err != nil {
		t.Fatal(err)
	}
	v.pwd, _ = d.MediaDescriptions[0].Attribute("ice-pwd")
	v.id, v.name, v.ownPwd = answer.Session, answer.Tag+":"+offer.Ufrag, offer.Password
	var reading sync.WaitGroup
	reading.Go(v.read)
	t.Cleanup(func() { v.UDPConn.Close(); reading.Wait() })
	return v
}

func listenOn(t testing.TB, host string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// read sorts what comes, and answers questions.
func (v *rawViewer) read() {
	buf := make([]byte, 4096)
	for {
		n, from, err := v.UDPConn.ReadFromUDP(buf)
		if err != nil {
			return
		}
		b := append([]byte(nil), buf[:n]...)
		switch {
		case b[0] <= 3:
			m := &stun.Message{Raw: b}
			if m.Decode() != nil {
				continue
			}
			if m.Type != stun.BindingRequest {
				offerTo(v.answers, b)
				continue
			}
			v.checked.Add(1)
			if !v.mute.Load() {
				_, _ = v.UDPConn.WriteToUDP(v.response(m), from)
			}
		case b[0] < 64:
			offerTo(v.dtls, b)
		default:
			v.media.Add(int64(n))
		}
	}
}

func offerTo(c chan []byte, b []byte) {
	select {
	case c <- b:
	default:
	}
}

// response is the answer to a question.
func (v *rawViewer) response(m *stun.Message) []byte {
	r, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: v.server.IP, Port: v.server.Port}, stun.NewShortTermIntegrity(v.ownPwd), stun.Fingerprint)
	if err != nil {
		v.t.Error(err)
		return nil
	}
	return r.Raw
}

// check is a right check of the viewer's.
func (v *rawViewer) check(nominate bool) []byte {
	setters := []stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(v.name)}
	if nominate {
		setters = append(setters, stun.RawAttribute{Type: stun.AttrUseCandidate})
	}
	m, err := stun.Build(append(setters, stun.NewShortTermIntegrity(v.pwd), stun.Fingerprint)...)
	if err != nil {
		v.t.Fatal(err)
	}
	return m.Raw
}

// send sends to the server.
func (v *rawViewer) send(b []byte) {
	if _, err := v.UDPConn.WriteToUDP(b, v.server); err != nil {
		v.t.Error(err)
	}
}

// answered sends a check and waits until it is answered.
func (v *rawViewer) answered() {
	v.t.Helper()
	v.send(v.check(true))
	select {
	case <-v.answers:
	case <-time.After(testutil.Patience):
		v.t.Fatal("a right check was not answered")
	}
}

// connect checks and does its side of the handshake.
func (v *rawViewer) connect() *dtls.Conn {
	v.t.Helper()
	v.answered()
	conn, err := dtls.ClientWithOptions(v, v.server,
		dtls.WithCertificates(*v.certificate), dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM))
	if err != nil {
		v.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), testutil.Patience)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { conn.Close() })
	return conn
}

// seals returns what seals the viewer's RTCP.
func (v *rawViewer) seals(conn *dtls.Conn) func(...rtcp.Packet) []byte {
	v.t.Helper()
	config := srtp.Config{Profile: srtp.ProtectionProfileAeadAes128Gcm}
	state, _ := conn.ConnectionState()
	if err := config.ExtractSessionKeysFromDTLS(&state, true); err != nil {
		v.t.Fatal(err)
	}
	keys := config.Keys
	context, err := srtp.CreateContext(keys.LocalMasterKey, keys.LocalMasterSalt, config.Profile)
	if err != nil {
		v.t.Fatal(err)
	}
	return func(packets ...rtcp.Packet) []byte {
		plain, err := rtcp.Marshal(packets)
		if err == nil {
			plain, err = context.EncryptRTCP(nil, plain, nil)
		}
		if err != nil {
			v.t.Fatal(err)
		}
		return plain
	}
}

// receives waits until media comes.
func (v *rawViewer) receives(t *testing.T, what string) {
	t.Helper()
	before := v.media.Load()
	testutil.Eventually(t, what, func() bool { return v.media.Load() > before })
}

// ReadFrom is dtls's.
func (v *rawViewer) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-v.dtls:
		return copy(b, d), v.server, nil
	case <-v.until.Done():
		return 0, nil, os.ErrDeadlineExceeded
	}
}

// SetReadDeadline is dtls's.
func (v *rawViewer) SetReadDeadline(t time.Time) error { v.until.Set(t); return nil }

// Close is dtls's; the socket lives as long as the test.
func (v *rawViewer) Close() error { v.until.Set(time.Unix(1, 0)); return nil }

// victim is an address that never answers and never asked.
type victim struct {
	*net.UDPConn
	server   *net.UDPAddr
	in, out  atomic.Int64 // bytes that came from it and that went there
	received sync.WaitGroup
}

func newVictim(t *testing.T, s *stage, host string) *victim {
	v := &victim{UDPConn: listenOn(t, host), server: net.UDPAddrFromAddrPort(s.socket.Addresses()[0])}
	v.received.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := v.Read(buf)
			if err != nil {
				return
			}
			v.out.Add(int64(n))
		}
	})
	t.Cleanup(func() { v.UDPConn.Close(); v.received.Wait() })
	return v
}

// forge sends a datagram as if it were the victim's.
func (v *victim) forge(t *testing.T, b []byte) {
	t.Helper()
	n, err := v.WriteToUDP(b, v.server)
	if err != nil {
		t.Fatal(err)
	}
	v.in.Add(int64(n))
}
