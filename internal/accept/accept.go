// Package accept accepts connections for as long as a listener is open, also after the system has run out of something.
package accept

import (
	"errors"
	"log/slog"
	"net"
	"time"
)

const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
	warnEvery  = time.Minute
)

// Loop passes each connection to take, until the listener is closed or done is. While no connection can be accepted it
// tries again, at least once a second, and warns once a minute; what names the connections for that.
func Loop(done <-chan struct{}, l net.Listener, what string, log *slog.Logger, take func(net.Conn)) {
	pause := firstPause
	var warned time.Time
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = firstPause
			take(conn)
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		if now := time.Now(); now.Sub(warned) > warnEvery {
			warned = now
			log.Warn("cannot accept "+what+"; if too many files are open, "+
				"raise the limit (ulimit -n, or LimitNOFILE= of systemd)", "error", err)
		}
		select {
		case <-done:
			return
		case <-time.After(pause):
			pause = min(2*pause, lastPause)
		}
	}
}
