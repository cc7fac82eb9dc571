// Package server is a whole server: [Config] holds its settings, [Run] opens all parts, serves and closes them.
//
// It wires the packages that do the work: ingest and egress to the media port, the relay (turn), the listing and the
// pages (web). Command siaran reads the settings, and package e2e tests the result.
package server
