package siaran

import "time"

// Watcher is a viewer and how well it is served.
type Watcher struct {
	Viewer
	Viewing
	Loss      float64       // share of the packets that it has lately missed at first, from 0 to 1
	RoundTrip time.Duration // 0: not known
	Bitrate   int           // bits a second of media that it is sent
}

// AudienceSum sums up those who watch a stream on one server.
type AudienceSum struct {
	Viewers    int
	Connecting int           // that have an answer, but no connection
	Children   int           // servers that pass the stream on
	Bitrate    int           // bits a second, to all viewers
	Loss       float64       // mean of the viewers
	RoundTrip  time.Duration // mean of those of which it is known; 0: of none
}
