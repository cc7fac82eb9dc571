package egress

import (
	"siaran"
	"siaran/internal/sdp"

	"github.com/pion/stun/v3"
)

// credentials are those of one ICE session (RFC 8839 section 5.4).
type credentials struct {
	ufrag, pwd             string // ours
	remoteUfrag, remotePwd string
	integrity              stun.MessageIntegrity // with our password: of the viewer's checks and of our answers
	remoteIntegrity        stun.MessageIntegrity // with the viewer's: of our questions and of its answers
}

func newCredentials(remoteUfrag, remotePwd string) *credentials {
	c := &credentials{
		ufrag: sdp.RandomText(8), pwd: sdp.RandomText(24), remoteUfrag: remoteUfrag, remotePwd: remotePwd,
		remoteIntegrity: stun.NewShortTermIntegrity(remotePwd),
	}
	c.integrity = stun.NewShortTermIntegrity(c.pwd)
	return c
}

// restart begins an ICE session with these credentials of the viewer (RFC 8445 section 9) and returns it. The one
// before goes on until a path of the new one has proven itself and is to be used. A restart that was under way is
// forgotten. It fails with ErrTagChanged if tag is not that of the newest ICE session, and with ErrUnknownSession after
// close.
func (l *link) restart(tag, remoteUfrag, remotePwd string) (*credentials, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, siaran.ErrUnknownSession
	case tag != l.newest().ufrag:
		return nil, siaran.ErrTagChanged
	}
	if l.next != nil {
		l.forget(l.next)
	}
	l.next = newCredentials(remoteUfrag, remotePwd)
	l.endpoint.AddUfrag(l.next.ufrag)
	return l.next, nil
}

// current is the newest ICE session, which a restart under way has begun.
func (l *link) current() *credentials {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest()
}

// newest is current for those who hold l.mu.
func (l *link) newest() *credentials {
	if l.next != nil {
		return l.next
	}
	return l.credentials
}

// named is the ICE session with this user name fragment of ours, nil if it is over.
func (l *link) named(ufrag string) *credentials {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range []*credentials{l.credentials, l.next} {
		if c != nil && c.ufrag == ufrag {
			return c
		}
	}
	return nil
}

// adopt makes the ICE session of a restart the only one. The caller holds l.mu and has selected a source of it.
func (l *link) adopt() {
	before := l.credentials
	l.credentials, l.next = l.next, nil
	l.forget(before)
}

// forget ends an ICE session: its checks come to nobody, and its sources are gone. The caller holds l.mu.
func (l *link) forget(c *credentials) {
	l.endpoint.RemoveUfrag(c.ufrag)
	var left []*source
	for _, s := range l.sources {
		if s.ice != c {
			left = append(left, s)
			continue
		}
		l.forgetQuestion(s)
		s.Drop()
	}
	l.sources = left
}
