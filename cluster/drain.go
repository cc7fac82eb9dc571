package cluster

import (
	"cmp"
	"slices"
	"time"

	"siaran"
)

const (
	childrenWithin = 5 * time.Second // of a drain, or a tenth of it, if that is shorter
	childrenPart   = 10
	viewersWithin  = 9 // tenths of a drain: the rest is for those who have come in the meantime
)

// Departure is when one session of a server that drains is to end.
type Departure struct {
	Session siaran.SessionID
	After   time.Duration // since the beginning
}

// Departures returns when the sessions of a server end that drains within a time: first those of its children, so that
// what is below them finds another way while this one still works, then those of viewers, one after the other, so that
// no other server gets all of them at once. Broadcasters are not among them: they go with the server itself. random
// returns numbers from 0 up to 1, and decides who goes when.
func Departures(children, viewers []siaran.SessionID, within time.Duration, random func() float64) []Departure {
	early := min(childrenWithin, within/childrenPart)
	if len(children) == 0 {
		early = 0
	}
	late := max(within*viewersWithin/10-early, 0)
	list := make([]Departure, 0, len(children)+len(viewers))
	for _, id := range children {
		list = append(list, Departure{id, time.Duration(random() * float64(early))})
	}
	for _, id := range viewers {
		list = append(list, Departure{id, early + time.Duration(random()*float64(late))})
	}
	slices.SortStableFunc(list, func(a, b Departure) int { return cmp.Compare(a.After, b.After) })
	return list
}
