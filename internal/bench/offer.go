package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/randutil"
	"github.com/pion/sdp/v3"
)

// identity is the certificate that all viewers share.
type identity struct {
	certificate tls.Certificate
	fingerprint string // SHA-256
}

func newIdentity() (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &identity{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, fingerprintOf(der)}, nil
}

func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(strings.ToUpper(fmt.Sprintf("% x", sum)), " ", ":")
}

// offeredCodec is a codec of our offers. Each video codec is offered with retransmissions, as browsers do.
type offeredCodec struct {
	payloadType uint8
	name        string
	fmtp        string
}

var offeredVideo = []offeredCodec{
	{96, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
	{98, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"},
	{100, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f"},
	{102, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"},
	{104, "VP8", ""},
	{106, "VP9", "profile-id=0"},
	{108, "AV1", ""},
	{114, "H265", "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST"},
}

const opusType = 111

// credentials are those of one side of ICE.
type credentials struct{ ufrag, pwd string }

const iceLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"

func newCredentials() (credentials, error) {
	ufrag, err := randutil.GenerateCryptoRandomString(8, iceLetters)
	if err != nil {
		return credentials{}, err
	}
	pwd, err := randutil.GenerateCryptoRandomString(24, iceLetters)
	return credentials{ufrag, pwd}, err
}

// viewerOffer returns a viewer's WHEP offer (draft-ietf-wish-whep section 4.3), with its address if it has one already.
func viewerOffer(own credentials, fingerprint string, at netip.AddrPort) ([]byte, error) {
	audio := receiving("audio", "0", own, fingerprint, at)
	codec(audio, opusType, "opus/48000/2", "minptime=10;useinbandfec=1")
	video := receiving("video", "1", own, fingerprint, at)
	for _, c := range offeredVideo {
		codec(video, c.payloadType, c.name+"/90000", c.fmtp, "nack", "nack pli", "ccm fir")
		codec(video, c.payloadType+1, "rtx/90000", "apt="+strconv.Itoa(int(c.payloadType)))
	}
	id, err := randutil.CryptoUint64()
	if err != nil {
		return nil, err
	}
	d := &sdp.SessionDescription{
		Origin: sdp.Origin{
			Username: "-", SessionID: id >> 1, SessionVersion: 2,
			NetworkType: "IN", AddressType: "IP4", UnicastAddress: "127.0.0.1",
		},
		SessionName:      "-",
		TimeDescriptions: []sdp.TimeDescription{{}},
		Attributes: []sdp.Attribute{
			sdp.NewAttribute(sdp.AttrKeyGroup, "BUNDLE 0 1"),
			sdp.NewAttribute("msid-semantic", " WMS *"),
		},
		MediaDescriptions: []*sdp.MediaDescription{audio, video},
	}
	return d.Marshal()
}

func receiving(kind, mid string, own credentials, fingerprint string, at netip.AddrPort) *sdp.MediaDescription {
	m := &sdp.MediaDescription{
		MediaName: sdp.MediaName{
			Media: kind, Port: sdp.RangedPort{Value: 9}, Protos: []string{"UDP", "TLS", "RTP", "SAVPF"},
		},
		ConnectionInformation: &sdp.ConnectionInformation{
			NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"},
		},
	}
	m.WithValueAttribute(sdp.AttrKeyMID, mid).
		WithICECredentials(own.ufrag, own.pwd).
		WithFingerprint("sha-256", fingerprint).
		WithValueAttribute(sdp.AttrKeyConnectionSetup, "actpass").
		WithPropertyAttribute("recvonly").
		WithPropertyAttribute(sdp.AttrKeyRTCPMux).
		WithPropertyAttribute(sdp.AttrKeyRTCPRsize)
	if at.IsValid() {
		candidate := fmt.Sprintf("1 1 udp %d %s %d typ host", checkPriority, at.Addr(), at.Port())
		m.WithValueAttribute(sdp.AttrKeyCandidate, candidate).
			WithPropertyAttribute(sdp.AttrKeyEndOfCandidates)
	}
	return m
}

func codec(m *sdp.MediaDescription, payloadType uint8, rtpmap, fmtp string, feedback ...string) {
	number := strconv.Itoa(int(payloadType))
	m.MediaName.Formats = append(m.MediaName.Formats, number)
	m.WithValueAttribute("rtpmap", number+" "+rtpmap)
	if fmtp != "" {
		m.WithValueAttribute("fmtp", number+" "+fmtp)
	}
	for _, f := range feedback {
		m.WithValueAttribute("rtcp-fb", number+" "+f)
	}
}
