// Package netns tests servers and clients in networks that real ones are in: firewalls, NAT, IPv6 alone, small MTUs,
// loss.
package netns
