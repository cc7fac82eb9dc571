// Package front is the server's TCP door: it speaks TLS, keeps slow and too many clients from doing harm, and tells apart
// what shares the port. A client that asks for h2 speaks HTTP/2; any other shows with its first byte whether it
// wants HTTP/1 (a letter) or TURN (0x00 or 0x01, RFC 8656 and RFC 7983).
package front
