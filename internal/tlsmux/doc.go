// Package tlsmux lets HTTPS, HTTP/2 and TURN share one TCP port, and limits what clients can hold of it. A client
// that negotiates h2 speaks HTTP/2. The first byte of any other says whether it speaks HTTP/1 (a letter) or TURN
// (0x00 or 0x01, RFC 8656 and RFC 7983).
package tlsmux
