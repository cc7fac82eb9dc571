// Package harness runs whole servers inside tests, with broadcasters and viewers made with pion. Ports are random and
// everything is on loopback, so that tests and packages can run side by side.
package harness
