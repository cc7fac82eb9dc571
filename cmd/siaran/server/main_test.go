package server_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"siaran/e2e/harness"
)

// acmeGoroutines are those of the libraries that get certificates and of the authority that tests ask.
var acmeGoroutines = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),        // never ends
	goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"), // one for each authority
	goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),             // ends within 5 s
}

func TestMain(m *testing.M) { os.Exit(harness.Main(m, acmeGoroutines...)) }
