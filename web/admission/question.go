package admission

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"siaran"
)

// Action is what somebody wants to do.
type Action string

// The actions.
const (
	Publish Action = "publish"
	Watch   Action = "watch"
)

// Question is what the site is asked.
type Question struct {
	Action    Action            `json:"action"`
	Stream    siaran.StreamName `json:"stream"`
	Source    string            `json:"source"`            // address of the client
	Subject   string            `json:"subject,omitempty"` // of a token of ours: whose it is
	Token     string            `json:"token,omitempty"`   // one that is not ours, as the client has sent it
	UserAgent string            `json:"userAgent,omitempty"`
	Node      string            `json:"node"`
	Again     bool              `json:"again,omitempty"` // about a session that runs, whose time is up
}

const maxUserAgent = 256 // bytes

// key identifies a question in memory, without the token.
type key [sha256.Size]byte

func (q Question) prepared() (k key, body []byte) {
	q.UserAgent = clean(q.UserAgent, maxUserAgent)
	body, err := json.Marshal(q)
	if err != nil {
		panic(fmt.Sprintf("admission: a question cannot be written as JSON: %v", err)) // its fields are all text
	}
	return sha256.Sum256(body), body
}

// Verdict is the answer of a site that lets somebody in.
type Verdict struct {
	User  string    // who it is, for the site; empty if it did not say
	Name  string    // how others see that person; may be empty
	Until time.Time // when to ask again; zero: never
	Most  time.Duration
}

// Refusal is the answer of a site that does not let somebody in. It is an error.
type Refusal struct {
	SignIn bool   // it would with another token (401)
	Detail string // the site's own words; may be empty
}

func (r *Refusal) Error() string {
	if r.Detail == "" {
		return "the site that this server belongs to does not allow it"
	}
	return r.Detail
}

// clean bounds text that others have written, and leaves out what is not for reading.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffd || // controls, and what is not UTF-8
			r >= 0x200e && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 { // directions
			return -1
		}
		return r
	}, text)
	for len(text) > most {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
