package web

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

const mimeEvents = "text/event-stream"

// eventWriter sends server-sent events (HTML standard, section 9.2) to one client.
type eventWriter struct {
	response *echo.Response
	out      *http.ResponseController
	sendTime time.Duration
}

// beginEvents makes the response of a request an event stream.
func (s *Server) beginEvents(c echo.Context) (*eventWriter, error) {
	w := &eventWriter{c.Response(), http.NewResponseController(c.Response()), s.sendTime}
	w.out.SetReadDeadline(time.Time{}) // the request has been read, and its deadline would end the connection
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, mimeEvents)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // otherwise nginx buffers events
	return w, w.send([]byte("retry: 2000\n\n"))
}

// send sends text at once. It fails if the client takes nothing for too long.
func (w *eventWriter) send(text []byte) error {
	w.out.SetWriteDeadline(time.Now().Add(w.sendTime))
	if _, err := w.response.Write(text); err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	return w.out.SetWriteDeadline(time.Time{}) // HTTP/2 would end the stream at the deadline, even with nothing to send
}

var ping = []byte(": ping\n\n")
