package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

const (
	pingEvery = 15 * time.Second
	sendTime  = 10 * time.Second // a client that takes nothing for so long is disconnected
)

// streamEvents sends what is live as server-sent events: a snapshot, then each change. With ?stream=NAME it is about
// that stream alone, which may be private as long as the caller may watch it. Then the event "come" says within how
// long clients that have waited for the stream should come.
func (s *Server) streamEvents(c echo.Context) error {
	f := &follower{}
	if name := c.QueryParam("stream"); name != "" {
		var err error
		if f, err = s.followerOf(c, name); err != nil {
			return err
		}
	}
	if c.Request().Method == http.MethodHead {
		c.Response().Header().Set(echo.HeaderContentType, mimeEvents)
		return c.NoContent(http.StatusOK)
	}
	f.from = s.client(c)
	if err := s.liveFeed.follow(f); err != nil {
		return err
	}
	defer s.liveFeed.unfollow(f)

	out, err := s.beginEvents(c)
	if err != nil {
		return nil
	}
	pings := time.NewTicker(s.pingEvery)
	defer pings.Stop()
	for {
		var text []byte
		select {
		case <-c.Request().Context().Done():
			return nil
		case <-pings.C:
			if f.private && !s.stillGood(c, f) {
				return nil
			}
			text = ping
		case <-f.wake:
			d := s.liveFeed.take(f)
			if d.ended {
				if d.leaving {
					_ = out.send(d.goodbye()) // if that fails, the client has gone
				}
				return nil
			}
			text = d.events()
		}
		if len(text) > 0 && out.send(text) != nil {
			return nil
		}
	}
}

func (s *Server) followerOf(c echo.Context, param string) (*follower, error) {
	name, err := streamName(param)
	if err != nil {
		return nil, err
	}
	w := wish{scope: access.Watch, stream: name, token: bearer(c.Request())}
	g, err := s.authorizeFor(c.Request().Context(), c, w)
	if err != nil {
		return nil, err
	}
	f := &follower{only: name, private: g.stream.Visibility == siaran.VisibilityPrivate, claims: g.claims}
	if g.site != nil {
		f.until = g.site.until
	}
	return f, nil
}

// stillGood reports whether the token of a long request is not known to have expired or been revoked since.
func (s *Server) stillGood(c echo.Context, f *follower) bool {
	if f.claims.Site != "" { // the client comes back, and the site is asked again
		return f.until.IsZero() || time.Now().Before(f.until)
	}
	_, err := s.cfg.Tokens.Verify(c.Request().Context(), bearer(c.Request()))
	return err == nil || errors.Is(err, access.ErrUnreachable)
}

// goodbye is the last event.
func (d delivery) goodbye() []byte {
	data, _ := json.Marshal(comeBackIn(d.back)) // a number can always be marshalled
	return fmt.Appendf(nil, "event: reconnect\ndata: %s\n\n", data)
}

// events writes d in the format of the HTML standard, section 9.2. JSON here has no line breaks.
func (d delivery) events() []byte {
	var b bytes.Buffer
	event := func(name string, data ...[]byte) {
		b.WriteString("event: " + name + "\ndata: ")
		for _, part := range data {
			b.Write(part)
		}
		b.WriteString("\n\n")
	}
	if d.within > 0 {
		event("come", fmt.Appendf(nil, `{"within":%d}`, d.within.Milliseconds()))
	}
	if d.snapshot {
		event("snapshot", []byte(`{"streams":[`), bytes.Join(d.streams, []byte(",")), []byte("]}"))
		return b.Bytes()
	}
	for _, body := range d.streams {
		event("stream", body)
	}
	for _, name := range d.gone {
		body, _ := json.Marshal(struct { // a name can always be marshalled
			Name siaran.StreamName `json:"name"`
		}{name})
		event("gone", body)
	}
	return b.Bytes()
}
