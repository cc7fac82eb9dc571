package upstream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"siaran"
)

const (
	maxEvent   = 8 << 20          // bytes
	maxStream  = 64 << 10         // of one stream's JSON; many are kept
	maxStreams = 10_000           // of one event
	silence    = 45 * time.Second // the parent sends something every 15 s
)

var errWrongStream = errors.New("the parent answers about another stream, or with what is no stream")

// streamText is a stream as the API of a server shows it.
type streamText struct {
	Name        siaran.StreamName   `json:"name"`
	Title       string              `json:"title"`
	Description string              `json:"description"`
	Visibility  siaran.Visibility   `json:"visibility"`
	MaxViewers  int                 `json:"maxViewers"`
	EmbedSites  []string            `json:"embedSites"`
	Status      siaran.Status       `json:"status"`
	StartedAt   *time.Time          `json:"startedAt"`
	Viewers     int                 `json:"viewers"`
	Node        string              `json:"node"`
	Video       *siaran.VideoState  `json:"video"`
	Audio       *siaran.AudioState  `json:"audio"`
	Layers      []siaran.LayerState `json:"layers"`
	Rules       *rulesText          `json:"rules"` // for servers that the parent knows
}

// rulesText is what decides who may watch.
type rulesText struct {
	Owner           string `json:"owner"`
	KeyGeneration   int    `json:"keyGeneration"`
	TokenGeneration int    `json:"tokenGeneration"`
}

// isDate reports whether a time can be written as JSON in any time zone, which goes up to the year 9999.
func isDate(t time.Time) bool { year := t.UTC().Year(); return year > 1900 && year < 9999 }

// parseStream reads a stream. One that is private comes with its rules, or it is not for us.
func parseStream(text []byte) (siaran.Stream, error) {
	var v streamText
	if err := json.Unmarshal(text, &v); err != nil || len(text) > maxStream {
		return siaran.Stream{}, errWrongStream
	}
	return v.stream()
}

func (v streamText) stream() (siaran.Stream, error) {
	name, err := siaran.ParseStreamName(string(v.Name))
	if err != nil {
		return siaran.Stream{}, errWrongStream
	}
	s := siaran.Stream{
		Name: name, Title: v.Title, Description: v.Description, Visibility: v.Visibility, Status: v.Status,
		MaxViewers: max(v.MaxViewers, 0),
		Viewers:    max(v.Viewers, 0), Node: v.Node, Video: v.Video, Audio: v.Audio, Layers: v.Layers,
	}
	if s.Visibility == "" {
		s.Visibility = siaran.VisibilityPublic // the list has no others
	}
	switch s.Status {
	case siaran.StatusLive, siaran.StatusInterrupted, siaran.StatusOffline:
	default:
		return siaran.Stream{}, errWrongStream
	}
	if v.EmbedSites != nil {
		if s.EmbedSites, err = siaran.ParseEmbedSites(v.EmbedSites); err != nil {
			return siaran.Stream{}, errWrongStream
		}
	}
	if v.StartedAt != nil && isDate(*v.StartedAt) {
		s.StartedAt = *v.StartedAt
	}
	if v.Rules != nil {
		s.Owner, s.KeyGeneration, s.TokenGeneration = v.Rules.Owner, v.Rules.KeyGeneration, &v.Rules.TokenGeneration
	}
	if s.Visibility != siaran.VisibilityPublic && (v.Rules == nil || s.Visibility != siaran.VisibilityPrivate) {
		return siaran.Stream{}, siaran.ErrUnknownStream
	}
	return s, nil
}

// Watch implements cluster.Parent.
func (p *Parent) Watch(
	ctx context.Context, snapshot func([]siaran.Stream), event func(siaran.StreamEvent),
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	to := p.base.JoinPath("api", "streams", "events")
	for range maxRedirects + 1 {
		res, err := p.send(ctx, http.MethodGet, to, "", "")
		if err != nil {
			return err
		}
		if redirects(res.StatusCode, http.MethodGet) {
			res.Body.Close()
			if to, err = target(res); err != nil {
				return err
			}
			continue
		}
		return p.follow(res, cancel, snapshot, event)
	}
	return errRedirects
}

func (p *Parent) follow(
	res *http.Response, cancel context.CancelCauseFunc, snapshot func([]siaran.Stream), event func(siaran.StreamEvent),
) error {
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxBody)) // without it there is only the status to tell
		return p.refusal(res, body)
	}
	if kind := contentType(res); kind != "text/event-stream" {
		return wrongType(kind, "text/event-stream")
	}
	errSilent := errors.New("the parent has been silent for too long")
	quiet := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer quiet.Stop()
	err := readEvents(res.Body, func() { quiet.Reset(silence) }, snapshot, event)
	if err == nil {
		return errors.New("the parent has ended the list of its streams")
	}
	return err
}

// readEvents reads server-sent events until r ends. heard is called with each line.
func readEvents(
	r io.Reader, heard func(), snapshot func([]siaran.Stream), event func(siaran.StreamEvent),
) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	var name string
	for lines.Scan() {
		heard()
		line := lines.Bytes()
		if len(line) == 0 {
			name = ""
		} else if value, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			name = string(value)
		} else if value, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			if err := hear(name, value, snapshot, event); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the list of the parent's streams was cut off: %w", err)
	}
	return nil
}

// hear takes one event. Those of other kinds are for pages.
func hear(
	name string, data []byte, snapshot func([]siaran.Stream), event func(siaran.StreamEvent),
) error {
	switch name {
	case "snapshot":
		var all struct{ Streams []streamText }
		if json.Unmarshal(data, &all) != nil || len(all.Streams) > maxStreams {
			return errWrongStream
		}
		list := make([]siaran.Stream, 0, len(all.Streams))
		for _, v := range all.Streams {
			s, err := v.stream()
			if err != nil {
				return errWrongStream
			}
			list = append(list, s)
		}
		snapshot(list)
	case "stream":
		s, err := parseStream(data)
		if err != nil {
			return errWrongStream
		}
		event(siaran.StreamEvent{Stream: s})
	case "gone":
		var v struct{ Name string }
		if json.Unmarshal(data, &v) != nil {
			return errWrongStream
		}
		name, err := siaran.ParseStreamName(v.Name)
		if err != nil {
			return errWrongStream
		}
		event(siaran.StreamEvent{Gone: true, Stream: siaran.Stream{
			Name: name, Visibility: siaran.VisibilityPublic, Status: siaran.StatusOffline,
		}})
	}
	return nil
}
