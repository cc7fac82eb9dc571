package egress

import (
	"cmp"
	"slices"
	"time"

	"siaran"
)

// SessionState is a session as an operator sees it. It holds nothing with which the session could be changed.
type SessionState struct {
	Stream  siaran.StreamName `json:"stream"`
	Viewer  siaran.ViewerID   `json:"viewer,omitempty"`
	Child   string            `json:"child,omitempty"` // the server that passes the stream on
	Session string            `json:"session"`         // the first characters of its id, as in the log
	State   string            `json:"state"`           // waiting (no check has come), connecting, connected
	Path    string            `json:"path,omitempty"`  // direct, relayed
	Age     float64           `json:"age"`             // seconds since the offer

	RID      string               `json:"rid,omitempty"`
	Width    int                  `json:"width,omitempty"`
	Height   int                  `json:"height,omitempty"`
	Spatial  int                  `json:"spatial"`
	Temporal int                  `json:"temporal"`
	Reason   siaran.ViewingReason `json:"reason"`
	Estimate int                  `json:"estimate,omitempty"` // bits a second that the path carries; 0: not known
}

// States describes at most limit sessions, of one stream unless it is empty, the oldest first. all is how many there
// are.
func (s *Server) States(stream siaran.StreamName, limit int) (list []SessionState, all int) {
	now := time.Now()
	s.mu.Lock()
	var some []*session
	for _, sess := range s.sessions {
		if stream == "" || sess.broadcast.Stream() == stream {
			some = append(some, sess)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(some, func(a, b *session) int {
		return cmp.Or(a.deadline.Compare(b.deadline), cmp.Compare(a.id, b.id))
	})
	for _, sess := range some[:min(limit, len(some))] {
		list = append(list, sess.state(now))
	}
	return list, len(some)
}

func (s *session) state(now time.Time) SessionState {
	v := s.viewing()
	st := SessionState{
		Stream: s.broadcast.Stream(), Session: s.id.String(), State: "waiting", Path: s.path(),
		Age: now.Sub(s.progress.at[stageOffered]).Seconds(),
		RID: v.RID, Width: v.Width, Height: v.Height, Spatial: v.Spatial, Temporal: v.Temporal,
		Reason: v.Reason, Estimate: v.Target,
	}
	if s.child {
		st.Child = s.owner
	} else {
		st.Viewer = s.viewerID
	}
	switch {
	case s.viewer.Load() != nil:
		st.State = "connected"
	case st.Path != "":
		st.State = "connecting"
	}
	return st
}
