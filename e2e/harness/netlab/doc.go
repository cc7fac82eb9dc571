// Package netlab builds small networks of network namespaces (Linux, root), and runs servers and clients in them.
package netlab
