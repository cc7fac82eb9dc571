package web

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"
)

// mostAway is the longest time, in seconds, for which a viewer who comes with too many others is sent away.
const mostAway = 30

// joins bounds how many viewers begin to join a second, whoever they are: a join costs the server as much as hundreds
// of packets. Those who come with too many others are told to come again at different times, so that they are spread
// over the time that all of them need. Half of a second's worth is kept for sources that take no more than their share,
// so that nobody keeps others out.
type joins struct {
	perSecond rate.Limit
	tokens    *rate.Limiter
	shares    *sourceLimiter

	mu      sync.Mutex
	backlog float64   // joins that were sent away, and are to be expected
	at      time.Time // when it was worked out
}

// newJoins allows a second's worth at once. The share of a source is a quarter.
func newJoins(perSecond int) *joins {
	share := max(1, perSecond/4)
	return &joins{
		perSecond: rate.Limit(perSecond), tokens: rate.NewLimiter(rate.Limit(perSecond), perSecond),
		shares: newSourceLimiter(Rate{rate.Limit(share), share}),
	}
}

// join lets a viewer join, or fails like joins.take.
func (s *Server) join(c echo.Context) error {
	within := !s.client(c).IsValid() || s.joins.shares.take(c) == nil
	return s.joins.take(time.Now(), within)
}

// used is how much of a second's worth is taken.
func (j *joins) used() int { return max(0, j.tokens.Burst()-int(j.tokens.Tokens())) }

// take fails with 503 and a Retry-After by chance if too many viewers come. within says that the viewer's source has
// not had more than its share.
func (j *joins) take(now time.Time, within bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if (within || 2*j.tokens.TokensAt(now) > float64(j.tokens.Burst())) && j.tokens.AllowN(now, 1) {
		return nil
	}
	j.backlog = max(0, j.backlog-now.Sub(j.at).Seconds()*float64(j.perSecond)) + 1
	j.at = now
	spread := min(1+int(j.backlog/float64(j.perSecond)), mostAway)
	return &failure{
		kind: tooManyJoins, retryAfter: 1 + rand.IntN(spread),
		detail: "very many viewers come at the moment; try again in some seconds",
	}
}
