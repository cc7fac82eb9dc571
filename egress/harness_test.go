package egress

import "siaran/mediaport"

// testOwner is a link's owner that does what the test wants.
type testOwner struct {
	onFirstCheck func()
	onReport     func(plain []byte)
	onEnded      func(error)
	spawn        func(func())
	slots        chan struct{}
}

func (o *testOwner) firstCheck() {
	if o.onFirstCheck != nil {
		o.onFirstCheck()
	}
}

func (o *testOwner) report(plain []byte) {
	if o.onReport != nil {
		o.onReport(plain)
	}
}

func (o *testOwner) ended(why error) {
	if o.onEnded != nil {
		o.onEnded(why)
	}
}

func (o *testOwner) goTracked(f func()) bool { o.spawn(f); return true }

func (o *testOwner) handshakeSlots() chan struct{} { return o.slots }

// testLink makes a link with a testOwner.
func testLink(s *mediaport.Socket, remoteUfrag, remotePassword string) *link {
	return newLink(s, remoteUfrag, remotePassword, new(testOwner), new(drops))
}

func ownerOf(l *link) *testOwner { return l.events.(*testOwner) }
