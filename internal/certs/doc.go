// Package certs has the certificates of HTTPS and of TURN over TLS: from [Files] that someone else renews, or from a
// certificate authority by [ACME] (RFC 8555). Both are asked at every handshake, so a new certificate is
// used at once and no connection is dropped for it.
package certs
