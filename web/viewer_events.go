package web

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
)

// relEvents is the relation of the address at which a viewer's events are opened (the events extension of WHEP).
const relEvents = "urn:ietf:params:whep:ext:core:server-sent-events"

const (
	tellEvery  = time.Second // the most often that numbers are told
	maxStreams = 4           // event streams of one session
)

// eventNames are the events that a viewer may ask for. "viewing" is ours: what the viewer gets, and why.
var eventNames = []string{"active", "inactive", "layers", "reconnect", "viewercount", "viewing"}

// openEvents makes an event stream of a viewer's session, about the events that the body names, or about all.
func (s *Server) openEvents(p *protocol) echo.HandlerFunc {
	return s.changing(func(c echo.Context) error {
		id, info, err := s.session(c, p)
		if err != nil {
			return err
		}
		names, err := readEventNames(c)
		if err != nil {
			return err
		}
		e, err := s.viewerEvents.open(id, info.Stream, names)
		if err != nil {
			return err
		}
		h := c.Response().Header()
		h.Set(echo.HeaderLocation, s.sessionURL(p, info.Stream, id)+"/events/"+e.id)
		h.Set("Cache-Control", "no-store")
		return c.NoContent(http.StatusCreated)
	})
}

func readEventNames(c echo.Context) (names []string, err error) {
	r := c.Request()
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return eventNames, nil
	}
	if err := readJSON(c, &names); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fail(unknownEvent, "name at least one event, or send no body for all; there are %s",
			strings.Join(eventNames, ", "))
	}
	for _, name := range names {
		if !slices.Contains(eventNames, name) {
			return nil, fail(unknownEvent, "there is no event %q; there are %s", name,
				strings.Join(eventNames, ", "))
		}
	}
	return names, nil
}

// closeEvents ends an event stream.
func (s *Server) closeEvents(p *protocol) echo.HandlerFunc {
	return s.changing(func(c echo.Context) error {
		id, _, err := s.session(c, p)
		if err != nil {
			return err
		}
		if !s.viewerEvents.close(id, c.Param("events")) {
			return errNoEvents
		}
		return c.NoContent(http.StatusOK)
	})
}

var errNoEvents = fail(noSuchEvents, "there is no such event stream, or it has ended")

// sendViewerEvents sends the events of a stream that openEvents has made. Its address alone allows to read it, because
// an EventSource cannot send a token. The newest reader takes the place of another.
func (s *Server) sendViewerEvents(p *protocol) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := siaran.SessionID(c.Param("session"))
		e := s.viewerEvents.find(id, c.Param("events"))
		if e == nil || string(e.stream) != c.Param("stream") {
			return errNoEvents
		}
		if err := s.sessionLimit.take(string(id)); err != nil {
			return err
		}
		if c.Request().Method == http.MethodHead {
			c.Response().Header().Set(echo.HeaderContentType, mimeEvents)
			return c.NoContent(http.StatusOK)
		}
		replaced, done, err := s.viewerEvents.read(e, s.client(c))
		if err != nil {
			return err
		}
		defer done()
		after, _ := strconv.Atoi(c.Request().Header.Get("Last-Event-ID")) // 0 for one that is not ours
		out, err := s.beginEvents(c)
		if err != nil {
			return nil
		}
		pings, ticks := time.NewTicker(s.pingEvery), time.NewTicker(s.tellEvery)
		defer pings.Stop()
		defer ticks.Stop()
		for numbers := true; ; {
			text, last, over := s.news(e, after, numbers)
			if len(text) > 0 && out.send(text) != nil || over {
				return nil
			}
			after, numbers = last, false
			select {
			case <-c.Request().Context().Done():
				return nil
			case <-replaced:
				return nil
			case <-pings.C:
				if out.send(ping) != nil {
					return nil
				}
			case <-e.wake:
			case <-ticks.C:
				numbers = true
			}
		}
	}
}

// toldEvent is the newest event of a kind.
type toldEvent struct {
	number int // of the event in its stream, from 1
	name   string
	data   []byte
}

// news looks at what has changed and returns what is new to a reader that has had the events up to after. numbers: it
// is time for those that change all the time. over: there will be no more.
func (s *Server) news(e *viewerEvents, after int, numbers bool) (text []byte, last int, over bool) {
	info, err := s.cfg.Egress.Session(e.session)
	viewing, gone := s.cfg.Egress.Viewing(e.session) // fails at once when it has ended
	closing, back := s.viewerEvents.closing()
	over = err != nil || gone != nil || closing
	b, offline := s.cfg.Hub.Broadcast(e.stream)
	var state siaran.BroadcastState
	if offline == nil {
		state = b.State()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return nil, after, true
	}
	if after > e.last {
		after = 0
	}
	if live := state.Status == siaran.StatusLive; !live || !over { // what is live may be another broadcast
		e.tellStatus(live)
	}
	switch {
	case closing:
		e.tell("reconnect", "reconnect", comeBackIn(back), nil)
	case e.moving:
		e.tell("reconnect", "reconnect", comeBackIn(0), nil)
	case !over && offline == nil && numbers:
		e.tell("viewercount", "viewercount", map[string]int{"viewercount": state.Viewers}, nil)
		e.tell("layers", "layers", s.layersOf(info), similarLayers)
		e.tell("viewing", "viewing", viewViewing(viewing), similarViewing)
	}
	return e.since(after), e.last, over
}

// tellStatus tells whether the stream is live. Of one that is not, nothing is told before it has been.
func (e *viewerEvents) tellStatus(live bool) {
	name := "inactive"
	if live {
		name = "active"
	} else if e.told["status"].number == 0 {
		return
	}
	if e.told["status"].name != name {
		e.put("status", name, []byte("{}"))
	}
}

// tell takes the newest value of a kind. It is an event if it differs from the one before. similar reports whether two
// values differ so little that it is none.
func (e *viewerEvents) tell(kind, name string, value any, similar func(a, b any) bool) {
	if !e.names[name] {
		return
	}
	if before, there := e.values[kind]; there && similar != nil && similar(before, value) {
		return
	}
	data, _ := json.Marshal(value) // it can always be marshalled
	if old := e.told[kind]; old.name == name && bytes.Equal(old.data, data) {
		return
	}
	e.values[kind] = value
	e.put(kind, name, data)
}

func (e *viewerEvents) put(kind, name string, data []byte) {
	e.last++
	e.told[kind] = toldEvent{e.last, name, data}
}

// since returns the newest event of each kind that has a number above after, in their order.
func (e *viewerEvents) since(after int) []byte {
	var list []toldEvent
	for _, t := range e.told {
		if t.number > after && e.names[t.name] {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b toldEvent) int { return a.number - b.number })
	var b bytes.Buffer
	for _, t := range list {
		b.WriteString("id: " + strconv.Itoa(t.number) + "\nevent: " + t.name + "\ndata: ")
		b.Write(t.data)
		b.WriteString("\n\n")
	}
	return b.Bytes()
}

// similar reports whether two rates are nearly the same.
func similar(a, b int) bool { return (a == 0) == (b == 0) && 5*max(a, b) <= 6*min(a, b) }

// similarLayers reports whether nothing but rates differs, and they little.
func similarLayers(a, b any) bool {
	x, y := a.(map[string][]layerView), b.(map[string][]layerView)
	if len(x) != len(y) {
		return false
	}
	for media, list := range x {
		if !slices.EqualFunc(list, y[media], func(a, b layerView) bool {
			near := similar(a.Bitrate, b.Bitrate)
			a.Bitrate, b.Bitrate = 0, 0
			return near && a.RID == b.RID && a.Width == b.Width && a.Height == b.Height &&
				sameID(a.Spatial, b.Spatial) && sameID(a.Temporal, b.Temporal)
		}) {
			return false
		}
	}
	return true
}

func sameID(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }

func similarViewing(a, b any) bool {
	x, y := a.(viewingView), b.(viewingView)
	near := similar(x.Target, y.Target)
	x.Target, y.Target = 0, 0
	return near && x == y
}

func newEventsID() string { return rand.Text() } // 130 random bits
