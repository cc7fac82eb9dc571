package web

import (
	"maps"
	"slices"
	"sync"
	"time"

	"siaran"
	"siaran/web/access"
)

// rights remembers on whose behalf sessions were opened, so that a session ends when its right is withdrawn. It keeps
// claims, not tokens. A broadcast is kept by its stream, because it outlives its session for the grace time.
type rights struct {
	hub    *siaran.Hub
	egress Sessions
	most   int // broadcasts of one account at the same time

	mu         sync.Mutex
	viewers    map[siaran.StreamName]map[siaran.SessionID]held
	broadcasts map[siaran.StreamName]held
	opening    map[string]int             // broadcasts that are being opened, by account
	private    map[siaran.StreamName]bool // watched streams that are private
	renewing   map[siaran.StreamName]int  // requests that are renewing the keys of a stream
	wake       chan struct{}              // holds one element: look now
}

// held is the right to a session.
type held struct {
	claims  access.Claims // zero if the stream was public and no token was needed
	on      access.Target // the stream, as it was when the claims were checked
	account string        // whose limit the broadcast counts towards; empty: the operator's, without a limit
	why     error         // why the claims are no longer good, from a recheck
	site    *siteRight    // what the site has said; nil if it was not asked
}

func newRights(cfg Config) *rights {
	return &rights{
		hub: cfg.Hub, egress: cfg.Egress, most: cfg.Limits.Broadcasts,
		viewers: make(map[siaran.StreamName]map[siaran.SessionID]held), broadcasts: make(map[siaran.StreamName]held),
		opening: make(map[string]int), private: make(map[siaran.StreamName]bool),
		renewing: make(map[siaran.StreamName]int), wake: make(chan struct{}, 1),
	}
}

// opened remembers on whose behalf a session was opened. A broadcast replaces one of the same stream.
func (r *rights) opened(scope access.Scope, id siaran.SessionID, g grant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	on := g.target()
	if scope == access.Publish {
		r.broadcasts[on.Stream] = held{claims: g.claims, on: on, account: payer(g.claims, on), site: g.site}
		return
	}
	if r.viewers[on.Stream] == nil {
		r.viewers[on.Stream] = make(map[siaran.SessionID]held)
	}
	r.viewers[on.Stream][id] = held{claims: g.claims, on: on, site: g.site}
}

// payer returns the account whose limit a broadcast counts towards: the owner of the stream, whichever key is used. It
// is empty for tokens for all streams, whose holders run the server.
func payer(claims access.Claims, on access.Target) string {
	switch {
	case claims.Account == "" && claims.Stream == access.AllStreams || claims.IsAdmin():
		return ""
	case on.Owner != "":
		return on.Owner
	}
	return claims.Account
}

// reserve takes one of the places for broadcasts that an account has, until done is called: after that the broadcast
// itself counts. A broadcast that is being taken over does not count.
func (r *rights) reserve(g grant) (done func(), err error) {
	on := g.target()
	account := payer(g.claims, on)
	if account == "" {
		return func() {}, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.opening[account]
	for name, h := range r.broadcasts {
		if h.account == account && name != on.Stream && r.hub.Holds(name, h.claims.Owner()) {
			n++
		}
	}
	if n >= r.most {
		return nil, fail(tooManyBroadcasts,
			"an account can broadcast at most %d streams at the same time: end one of them first", r.most)
	}
	r.opening[account]++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.opening[account]--; r.opening[account] == 0 {
			delete(r.opening, account)
		}
	}, nil
}

// renew is called before the keys of a stream are renewed. Until done is called, nobody is judged by keys of which it
// is not known yet who has renewed them.
func (r *rights) renew(stream siaran.StreamName) (done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.renewing[stream]++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.renewing[stream]--; r.renewing[stream] == 0 {
			delete(r.renewing, stream)
		}
	}
}

// renewed is called when keys of a stream were renewed with a token: what the same token has opened goes on.
func (r *rights) renewed(stream siaran.StreamName, by access.Claims, generation int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	renew := func(h *held) { h.renew(generation) }
	update(r.viewers[stream], by, renew)
	if h, there := r.broadcasts[stream]; there && sameToken(h.claims, by) {
		renew(&h)
		r.broadcasts[stream] = h
	}
}

func (h *held) renew(generation int) {
	h.on.KeyGeneration = generation
	if h.claims.Stream != access.AllStreams {
		h.claims.KeyGeneration = generation
	}
}

// rechecked takes the outcome of a recheck of claims.
func (r *rights) rechecked(claims, now access.Claims, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change := func(h *held) { h.claims.Scopes, h.why = now.Scopes, why }
	for _, list := range r.viewers {
		update(list, claims, change)
	}
	update(r.broadcasts, claims, change)
}

// update applies change to what is held with one token.
func update[K comparable](list map[K]held, token access.Claims, change func(*held)) {
	for key, h := range list {
		if sameToken(h.claims, token) {
			change(&h)
			list[key] = h
		}
	}
}

// sameToken reports whether both are from one token, or from tokens of one account that were issued at the same time.
func sameToken(a, b access.Claims) bool {
	return a.Owner() == b.Owner() && a.Owner() != "" && a.Issued.Equal(b.Issued)
}

// look makes withdraw go through all sessions now.
func (r *rights) look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// streams returns the streams with a session, and forgets what has ended.
func (r *rights) streams() []siaran.StreamName {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]siaran.StreamName, 0, len(r.broadcasts))
	for name, h := range r.broadcasts {
		if !r.hub.Holds(name, h.claims.Owner()) {
			delete(r.broadcasts, name)
			continue
		}
		list = append(list, name)
	}
	for name, viewers := range r.viewers {
		for id := range viewers {
			if _, err := r.egress.Session(id); err != nil {
				delete(viewers, id)
			}
		}
		switch _, listed := r.broadcasts[name]; {
		case len(viewers) == 0:
			delete(r.viewers, name)
			delete(r.private, name)
		case !listed:
			list = append(list, name)
		}
	}
	return list
}

// refused returns the viewers that may no longer watch a stream, with the reasons, and the owner of its broadcast with
// the reason why it may no longer be published, or nil.
func (r *rights) refused(stream siaran.Stream, there bool, now time.Time) (
	viewers map[siaran.SessionID]error, owner string, why error,
) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.renewing[stream.Name] > 0 {
		return nil, "", nil
	}
	if h, live := r.broadcasts[stream.Name]; live {
		owner, why = h.claims.Owner(), h.refusal(access.Publish, stream, there, now)
	}
	delete(r.private, stream.Name)
	if stream.Visibility == siaran.VisibilityPublic {
		return nil, owner, why
	}
	viewers = make(map[siaran.SessionID]error)
	for id, h := range r.viewers[stream.Name] {
		r.private[stream.Name] = true
		if err := h.refusal(access.Watch, stream, there, now); err != nil {
			viewers[id] = err
		}
	}
	return viewers, owner, why
}

// doubtful returns the claims that the keys of a stream do not decide, once per token: those of broadcasters and of
// viewers of private streams.
func (r *rights) doubtful() []access.Claims {
	r.mu.Lock()
	defer r.mu.Unlock()
	type token struct {
		owner  string
		issued time.Time
	}
	seen := make(map[token]access.Claims)
	add := func(h held) {
		if h.claims.Stream == access.AllStreams && h.why == nil {
			seen[token{h.claims.Owner(), h.claims.Issued}] = h.claims
		}
	}
	for _, h := range r.broadcasts {
		add(h)
	}
	for name := range r.private {
		for _, h := range r.viewers[name] {
			add(h)
		}
	}
	return slices.Collect(maps.Values(seen))
}

// refusal returns why a session may not go on, or nil. What is known about the stream may be older than the session.
// The key generation says so: it increases whenever keys are revoked or the stream changes hands.
func (h held) refusal(scope access.Scope, stream siaran.Stream, there bool, now time.Time) error {
	if h.why != nil {
		return h.why
	}
	if h.claims.Owner() == "" {
		return access.ErrNoToken
	}
	if scope == access.Watch && h.claims.IsChild() {
		return nil // that server looks after its viewers
	}
	// A broadcast goes on when its token expires, and accounts outlive their tokens.
	if scope == access.Watch && h.claims.Account == "" && !h.claims.Expires.IsZero() && !now.Before(h.claims.Expires) {
		return access.ErrExpired
	}
	on := h.on
	if stream.KeyGeneration > on.KeyGeneration {
		on = target(stream, there)
	}
	if stream.TokenGeneration != nil {
		on.TokenGeneration = stream.TokenGeneration
	}
	return h.claims.Check(scope, on)
}
