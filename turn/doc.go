// Package turn is the place of the embedded relay (RFC 8656): it will take the media of clients whose
// network lets no UDP out to the media port, and hand out short-lived credentials for it. It
// imports nothing of this module. There is nothing in it yet: clients need to reach the media port themselves.
package turn
