package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// Date has whole seconds, and the way takes time.
	skewUnnoticed = 5 * time.Second
	skewFatal     = 5 * time.Minute // Firebase's tokens, short tokens and certificates fail by then
)

// checkSkew judges by how much this machine's clock goes ahead of another.
func checkSkew(skew time.Duration, of string) Check {
	const name = "clock"
	away := skew.Abs().Round(time.Second)
	direction := "ahead of"
	if skew < 0 {
		direction = "behind"
	}
	said := fmt.Sprintf("this machine's clock is %s %s that of %s", away, direction, of)
	const remedy = "Let both keep their clocks right by NTP (timedatectl set-ntp true)."
	switch {
	case away <= skewUnnoticed:
		return ok(name, "clocks agree with %s.", of)
	case away < skewFatal:
		return warn(name, said+": tokens and relay credentials that live short are refused early or late.", remedy)
	}
	return fail(name, said+": tokens, relay credentials and certificates are refused.", remedy)
}

// checkOwnClock compares with a server on the web, when there is one that matters, or asks the kernel.
func checkOwnClock(ctx context.Context, reference string, client *http.Client) Check {
	const name = "clock"
	if reference != "" {
		skew, err := skewTo(ctx, reference, client)
		if err == nil {
			return checkSkew(skew, reference)
		}
	}
	kept, within, known := kernelClock()
	switch {
	case known && kept:
		return ok(name, "the kernel's clock is kept right (to %s).", within.Round(time.Millisecond))
	case known:
		return warn(name, "nothing seems to keep this machine's clock right, and there is no other to compare it with; tokens, relay credentials and certificates need it.", "timedatectl set-ntp true, or siaran doctor --url from another machine, which compares.")
	}
	return skip(name, "there is no other clock to compare with: siaran doctor --url, from another machine, does.")
}

// skewTo is how much this machine's clock is ahead of that of a web server.
func skewTo(ctx context.Context, url string, client *http.Client) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	res.Body.Close() // HEAD has none
	skew, known := skewOf(res.Header, begun, time.Now())
	if !known {
		return 0, errors.New("the answer has no Date")
	}
	return skew, nil
}

// skewOf reads the Date of an answer that was asked for and came at these times: 0 when it may be right.
func skewOf(h http.Header, asked, came time.Time) (skew time.Duration, known bool) {
	date, err := http.ParseTime(h.Get("Date"))
	switch {
	case err != nil:
		return 0, false
	case asked.After(date.Add(time.Second)):
		return asked.Sub(date.Add(time.Second)), true
	case came.Before(date):
		return came.Sub(date), true
	}
	return 0, true
}
