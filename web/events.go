package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

const (
	pingEvery = 15 * time.Second
	sendTime  = 10 * time.Second // a client that takes nothing for so long is let go
)

// streamEvents tells what is live as server-sent events: a snapshot, then each change. With
// ?stream=NAME it tells of that stream alone, also of a private one to who may watch it, for as long as that is so.
func (s *Server) streamEvents(c echo.Context) error {
	f := &follower{}
	if name := c.QueryParam("stream"); name != "" {
		var err error
		if f, err = s.followerOf(c, name); err != nil {
			return err
		}
	}
	h := c.Response().Header()
	if c.Request().Method == http.MethodHead {
		h.Set(echo.HeaderContentType, "text/event-stream")
		return c.NoContent(http.StatusOK)
	}
	if ip, err := netip.ParseAddr(c.RealIP()); err == nil && !isLocal(ip.Unmap()) { // a local one may be a proxy's
		f.from = source(c.RealIP())
	}
	if !s.board.follow(f) {
		return siaran.ErrTooManySessions
	}
	defer s.board.unfollow(f)

	out := http.NewResponseController(c.Response())
	out.SetReadDeadline(time.Time{}) // the request is over; its deadline would end the connection
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	send := func(text []byte) error {
		out.SetWriteDeadline(time.Now().Add(s.sendTime))
		if _, err := c.Response().Write(text); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		return out.SetWriteDeadline(time.Time{}) // HTTP/2 would end the stream then, though nothing is being sent
	}
	if send([]byte("retry: 2000\n\n")) != nil {
		return nil
	}
	ping := time.NewTicker(s.pingEvery)
	defer ping.Stop()
	for {
		var text []byte
		select {
		case <-c.Request().Context().Done():
			return nil
		case <-ping.C:
			if f.private && !s.stillGood(c) {
				return nil
			}
			text = []byte(": ping\n\n")
		case <-f.wake:
			d := s.board.take(f)
			if d.ended {
				return nil
			}
			text = d.events()
		}
		if len(text) > 0 && send(text) != nil {
			return nil
		}
	}
}

func (s *Server) followerOf(c echo.Context, param string) (*follower, error) {
	name, err := streamName(param)
	if err != nil {
		return nil, err
	}
	stream, there, err := s.lookupFor(c.Request().Context(), c, bearer(c.Request()), name)
	if err != nil {
		return nil, err
	}
	f := &follower{only: name}
	if stream.Visibility != siaran.VisibilityPrivate {
		return f, nil
	}
	claims, err := s.allow(c.Request().Context(), bearer(c.Request()), access.Watch, target(stream, there))
	if err != nil {
		return nil, err
	}
	f.private, f.claims = true, claims
	return f, nil
}

// stillGood tells whether the token of a request that goes on is not known to have run out or been taken back.
func (s *Server) stillGood(c echo.Context) bool {
	_, err := s.verify(c, bearer(c.Request()))
	return err == nil || errors.Is(err, access.ErrUnreachable)
}

// events is d in the format of the HTML standard, section 9.2. JSON has no line breaks in it.
func (d delivery) events() []byte {
	var b bytes.Buffer
	event := func(name string, data ...[]byte) {
		b.WriteString("event: " + name + "\ndata: ")
		for _, part := range data {
			b.Write(part)
		}
		b.WriteString("\n\n")
	}
	if d.snapshot {
		event("snapshot", []byte(`{"streams":[`), bytes.Join(d.streams, []byte(",")), []byte("]}"))
		return b.Bytes()
	}
	for _, body := range d.streams {
		event("stream", body)
	}
	for _, name := range d.gone {
		body, _ := json.Marshal(struct { // a name always can
			Name siaran.StreamName `json:"name"`
		}{name})
		event("gone", body)
	}
	return b.Bytes()
}
