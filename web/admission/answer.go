package admission

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"time"

	"siaran/internal/signedpost"
)

const (
	maxAnswer = 16 << 10 // bytes
	maxName   = 100      // bytes
	maxUser   = 128      // bytes
	maxDetail = 300      // bytes

	leastUntil = 10 * time.Second // from now: a site whose clock is late is not asked without end
)

// judge turns what the site has said into a verdict, a *Refusal, or ErrNoAnswer with the reason.
func judge(a signedpost.Answer, now time.Time) (Verdict, error) {
	switch {
	case a.OK():
		return admitted(a, now)
	case a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly, a.Status == http.StatusTooManyRequests,
		a.Status < 400, a.Status >= 500:
		return Verdict{}, fmt.Errorf("%w: its status is %d", ErrNoAnswer, a.Status)
	}
	r := &Refusal{SignIn: a.Status == http.StatusUnauthorized}
	var problem struct {
		Detail string `json:"detail"`
	}
	if a.Whole && isJSON(a.Type) && json.Unmarshal(a.Body, &problem) == nil {
		r.Detail = clean(problem.Detail, maxDetail)
	}
	return Verdict{}, r
}

func admitted(a signedpost.Answer, now time.Time) (Verdict, error) {
	if !isJSON(a.Type) || len(a.Body) == 0 && a.Whole {
		return Verdict{}, nil // no more than yes
	}
	if !a.Whole {
		return Verdict{}, fmt.Errorf("%w: it is longer than %d bytes, or broke off", ErrNoAnswer, maxAnswer)
	}
	var body struct {
		User       string    `json:"user"`
		Name       string    `json:"name"`
		Until      time.Time `json:"until"`
		MaxSeconds *int64    `json:"maxSeconds"`
	}
	if err := json.Unmarshal(a.Body, &body); err != nil {
		return Verdict{}, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	v := Verdict{User: body.User, Name: clean(body.Name, maxName), Until: body.Until}
	if clean(body.User, maxUser) != body.User { // cut off, two users would be one
		return Verdict{}, fmt.Errorf("%w: user is longer than %d bytes, or has control characters", ErrNoAnswer, maxUser)
	}
	if !v.Until.IsZero() && v.Until.Before(now.Add(leastUntil)) {
		v.Until = now.Add(leastUntil)
	}
	if body.MaxSeconds != nil {
		const century = 100 * 365 * 24 * 3600
		if *body.MaxSeconds < 1 {
			return Verdict{}, fmt.Errorf("%w: maxSeconds is not 1 or more", ErrNoAnswer)
		}
		v.Most = time.Duration(min(*body.MaxSeconds, century)) * time.Second
	}
	return v, nil
}

func isJSON(contentType string) bool {
	name, _, err := mime.ParseMediaType(contentType)
	return err == nil && (name == "application/json" || name == "application/problem+json")
}
