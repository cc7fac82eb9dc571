package sdp

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// Answer builds an SDP answer. It has one section for each section of the offer, in the same order (RFC 3264 section
// 6).
type Answer struct {
	offer       *Offer
	description *sdp.SessionDescription
}

// NewAnswer begins the answer to an offer. The id should differ from session to session (RFC 8866 section 5.2).
func NewAnswer(offer *Offer, id uint64) *Answer {
	return &Answer{offer: offer, description: &sdp.SessionDescription{
		Origin: sdp.Origin{
			Username: "-", SessionID: id >> 1, SessionVersion: 1, // some clients read the id as a signed number
			NetworkType: "IN", AddressType: "IP4", UnicastAddress: "127.0.0.1",
		},
		SessionName:      "-",
		TimeDescriptions: []sdp.TimeDescription{{}},
	}}
}

// Attribute adds an a= line at session level; an empty value makes it a flag.
func (a *Answer) Attribute(key, value string) {
	a.description.Attributes = append(a.description.Attributes, attribute(key, value))
}

// Marshal returns the text, with CRLF line ends.
func (a *Answer) Marshal() ([]byte, error) { return a.description.Marshal() }

// Refuse adds a section with port 0, which turns down the offered one. It has a c= line, because Firefox cannot parse
// it otherwise, and the rtpmap lines, because some clients (pion/webrtc v4) look up the payload types of refused
// sections too.
func (a *Answer) Refuse(section *Section) {
	s := a.add(section, 0)
	offered := a.offer.Description.MediaDescriptions[section.Index]
	s.media.MediaName.Formats = offered.MediaName.Formats
	if len(s.media.MediaName.Formats) == 0 {
		s.media.MediaName.Formats = []string{"0"} // an m= line has at least one
	}
	if mid, there := offered.Attribute("mid"); there {
		s.Attribute("mid", mid)
	}
	for _, at := range offered.Attributes {
		if at.Key == "rtpmap" {
			s.Attribute(at.Key, strings.TrimSpace(at.Value))
		}
	}
	s.Attribute(string(Inactive), "")
}

// Accept adds a section that accepts the offered one. Its port is 9 (discard) and its address 0.0.0.0 until
// [AnswerSection.At] sets them. It has no mid yet.
func (a *Answer) Accept(section *Section) *AnswerSection { return a.add(section, 9) }

func (a *Answer) add(section *Section, port int) *AnswerSection {
	offered := a.offer.Description.MediaDescriptions[section.Index].MediaName
	m := &sdp.MediaDescription{
		MediaName:             sdp.MediaName{Media: offered.Media, Port: sdp.RangedPort{Value: port}, Protos: offered.Protos},
		ConnectionInformation: connection(netip.IPv4Unspecified()),
	}
	a.description.MediaDescriptions = append(a.description.MediaDescriptions, m)
	return &AnswerSection{section, m}
}

// AnswerSection is an accepted section of an answer. Its lines appear in the order in which they are added.
type AnswerSection struct {
	offered *Section
	media   *sdp.MediaDescription
}

// Attribute adds an a= line; an empty value makes it a flag.
func (s *AnswerSection) Attribute(key, value string) {
	s.media.Attributes = append(s.media.Attributes, attribute(key, value))
}

// At sets the port of the m= line and the address of the c= line.
func (s *AnswerSection) At(address netip.AddrPort) {
	s.media.MediaName.Port.Value = int(address.Port())
	s.media.ConnectionInformation = connection(address.Addr())
}

// Direction adds the answerer's direction, and that RTCP uses the same port as RTP.
func (s *AnswerSection) Direction(d Direction) {
	s.Attribute(string(d), "")
	s.Attribute("rtcp-mux", "")
	s.Attribute("rtcp-mux-only", "")
	if s.offered.RTCPReduced {
		s.Attribute("rtcp-rsize", "")
	}
}

// Codec accepts one offered codec, under its offered payload types. format holds the format parameters of the answer;
// rtx says whether to accept its retransmissions (RFC 4588) too.
func (s *AnswerSection) Codec(c *OfferedCodec, format string, feedback []string, rtx bool) {
	pt, rate := strconv.Itoa(int(c.PayloadType)), strconv.Itoa(int(c.ClockRate))
	s.media.MediaName.Formats = []string{pt}
	encoding := EncodingName(c.Name) + "/" + rate
	if c.Channels > 1 {
		encoding += "/" + strconv.Itoa(int(c.Channels))
	}
	s.Attribute("rtpmap", pt+" "+encoding)
	if format != "" {
		s.Attribute("fmtp", pt+" "+format)
	}
	for _, f := range feedback {
		s.Attribute("rtcp-fb", pt+" "+f)
	}
	if rtx {
		number := strconv.Itoa(int(c.RTX))
		s.media.MediaName.Formats = append(s.media.MediaName.Formats, number)
		s.Attribute("rtpmap", number+" rtx/"+rate)
		s.Attribute("fmtp", number+" apt="+pt)
	}
}

// Extension accepts an offered header extension. One that the offerer only sends we only receive, and the other way
// round (RFC 8285 section 5).
func (s *AnswerSection) Extension(e Extension) {
	id := strconv.Itoa(e.ID)
	switch e.Direction {
	case SendOnly:
		id += "/" + string(RecvOnly)
	case RecvOnly:
		id += "/" + string(SendOnly)
	}
	s.Attribute("extmap", id+" "+e.URI)
}

// Simulcast accepts all simulcast layers of the offer, if there are any (RFC 8853 section 5.3.2).
func (s *AnswerSection) Simulcast() {
	if len(s.offered.RIDs) == 0 {
		return
	}
	var layers []string
	for _, r := range s.offered.RIDs {
		s.Attribute("rid", r.ID+" recv")
		if r.Paused {
			layers = append(layers, "~"+r.ID)
		} else {
			layers = append(layers, r.ID)
		}
	}
	s.Attribute("simulcast", "recv "+strings.Join(layers, ";"))
}

// Transport holds the ICE and DTLS parameters of our end.
type Transport struct {
	Ufrag, Password string
	Fingerprint     Fingerprint
	Setup           string // active or passive
}

// Transport adds the ICE and DTLS parameters.
func (s *AnswerSection) Transport(t Transport) {
	s.Attribute("ice-ufrag", t.Ufrag)
	s.Attribute("ice-pwd", t.Password)
	s.Attribute("fingerprint", t.Fingerprint.String())
	s.Attribute("setup", t.Setup)
}

func attribute(key, value string) sdp.Attribute {
	if value == "" {
		return sdp.NewPropertyAttribute(key)
	}
	return sdp.NewAttribute(key, value)
}

func connection(address netip.Addr) *sdp.ConnectionInformation {
	family := "IP4"
	if address.Is6() {
		family = "IP6"
	}
	return &sdp.ConnectionInformation{
		NetworkType: "IN", AddressType: family, Address: &sdp.Address{Address: address.String()},
	}
}
