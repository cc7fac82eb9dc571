package webhook

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"siaran"
)

// The types of events.
const (
	streamStarted     = "stream.started"
	streamInterrupted = "stream.interrupted"
	streamResumed     = "stream.resumed"
	streamEnded       = "stream.ended"
	viewersChanged    = "viewers.changed"
)

// message is an event as it is sent: the same for every receiver, and every time.
type message struct {
	id      string
	stream  siaran.StreamName
	at      time.Time
	viewers bool // of viewers: such messages go first when there is no room
	body    []byte
}

// envelope is the body of a message, as Standard Webhooks recommends it.
type envelope struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // when it happened
	Data      any       `json:"data"`
}

// streamData is the data of events about a broadcast.
type streamData struct {
	Node         string              `json:"node"`
	Stream       siaran.StreamName   `json:"stream"`
	Broadcast    siaran.BroadcastID  `json:"broadcast"`
	Owner        string              `json:"owner"`
	StartedAt    time.Time           `json:"startedAt"`
	EndedAt      time.Time           `json:"endedAt,omitzero"`
	Reason       siaran.EndReason    `json:"reason,omitempty"`
	Video        *siaran.VideoState  `json:"video,omitempty"`
	Audio        *siaran.AudioState  `json:"audio,omitempty"`
	Layers       []siaran.LayerState `json:"layers,omitempty"`
	Viewers      int                 `json:"viewers"`
	PeakViewers  int                 `json:"peakViewers"`
	TotalViewers int                 `json:"totalViewers"`
}

// viewersData is the data of a batch of viewers.
type viewersData struct {
	Node      string             `json:"node"`
	Stream    siaran.StreamName  `json:"stream"`
	Broadcast siaran.BroadcastID `json:"broadcast"`
	Joined    []joined           `json:"joined"`
	Left      []siaran.ViewerID  `json:"left"`
	Viewers   int                `json:"viewers"` // now
}

type joined struct {
	ID       siaran.ViewerID `json:"id"`
	JoinedAt time.Time       `json:"joinedAt"`
	Path     string          `json:"path"`
}

func newStreamData(node string, s siaran.BroadcastState) streamData {
	return streamData{
		Node: node, Stream: s.Stream, Broadcast: s.ID, Owner: s.Owner,
		StartedAt: s.StartedAt.UTC(), EndedAt: s.EndedAt.UTC(), Reason: s.EndReason,
		Video: s.Video, Audio: s.Audio, Layers: s.Layers,
		Viewers: s.Viewers, PeakViewers: s.PeakViewers, TotalViewers: s.TotalViewers,
	}
}

func newMessage(kind string, stream siaran.StreamName, at time.Time, data any) message {
	body, err := json.Marshal(envelope{kind, at.UTC(), data})
	if err != nil {
		panic(fmt.Sprintf("webhook: %s cannot be written as JSON: %v", kind, err)) // its types all can
	}
	return message{
		id: "msg_" + rand.Text(), stream: stream, at: at, viewers: kind == viewersChanged, body: body,
	}
}
