package live

import (
	"fmt"
	"time"

	"siaran"
)

// Row is a stream as a database holds it.
type Row struct {
	siaran.Stream // what only live streams have counts while the lease is valid

	LeaseUntil int64 // of Node, in microseconds since 1970; 0 while the lease is not valid
	Removed    bool  // the stream has been deleted: only KeyGeneration is left of it

	Publisher string // see siaran.Whereabouts
	Moves     int
}

// View returns the stream as readers see it. Without a valid lease it is offline.
func (r Row) View() siaran.Stream {
	if r.LeaseUntil == 0 {
		return offline(r.Stream)
	}
	return r.Stream
}

// Listed returns the stream as lists have it. Only a list of one account's streams says who owns them and which keys
// count.
func (r Row) Listed(q siaran.StreamQuery) siaran.Stream {
	s := r.View()
	if q.Owner == "" {
		s.Owner, s.KeyGeneration = "", 0
	}
	return s
}

// Remains returns what is left of a deleted stream.
func (r Row) Remains() siaran.Stream {
	return siaran.Stream{Name: r.Name, KeyGeneration: r.KeyGeneration}
}

// offline returns the stream without what only live streams have.
func offline(s siaran.Stream) siaran.Stream {
	return siaran.Stream{
		Name: s.Name, Title: s.Title, Description: s.Description, Owner: s.Owner, Visibility: s.Visibility,
		KeyGeneration: s.KeyGeneration, MaxViewers: s.MaxViewers, EmbedSites: s.EmbedSites,
		Status: siaran.StatusOffline, UpdatedAt: s.UpdatedAt,
	}
}

// CheckClaim returns the domain's error if owner may not make the stream live on node.
func CheckClaim(s siaran.Stream, node, owner string) error {
	if owner != "" && s.Owner != "" && s.Owner != owner {
		return siaran.ErrNotOwner
	}
	if s.Status != siaran.StatusOffline && s.Node != node {
		return fmt.Errorf("%w: it is live on the server %s", siaran.ErrStreamTaken, s.Node)
	}
	return nil
}

// How many entries a list has.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Limit bounds the limit of a query; 0 or less means the default.
func Limit(limit int) int {
	if limit <= 0 {
		return DefaultLimit
	}
	return min(limit, MaxLimit)
}

// Micros converts a time to microseconds since 1970. The zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicros is the inverse of Micros.
func FromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
