// Package e2e tests whole servers from outside. Its parts are packages, so that go test runs them side by side:
//
//	harness/            servers, broadcasters, viewers and the built command, for all the others
//	harness/chromium/   a real browser
//	harness/netlab/     machines and networks made of network namespaces
//	media/              media end to end: clients made with pion, processes, packet loss, the relay
//	browser/            the pages, in Chromium
//	netns/              firewalls, NAT, IPv6 alone, small MTUs
//	soak/               viewers who come and go for half an hour
//	firestore/          several servers over one listing, with Google's emulator
//
// The package itself holds the test of which package may import which.
package e2e
