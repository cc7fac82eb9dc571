package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// Date has a resolution of one second, and the exchange takes time.
	skewUnnoticed = 5 * time.Second
	skewFatal     = 5 * time.Minute // Firebase's tokens, short-lived tokens and certificates fail by then
)

// checkSkew judges by how much this machine's clock is ahead of another.
func checkSkew(skew time.Duration, of string) Check {
	const name = "clock"
	away := skew.Abs().Round(time.Second)
	direction := "ahead of"
	if skew < 0 {
		direction = "behind"
	}
	said := fmt.Sprintf("this machine's clock is %s %s that of %s", away, direction, of)
	const remedy = "Synchronise both clocks with NTP (timedatectl set-ntp true)."
	switch {
	case away <= skewUnnoticed:
		return ok(name, "this machine's clock agrees with that of %s.", of)
	case away < skewFatal:
		return warn(name, said+": short-lived tokens and relay credentials expire too early or too late.", remedy)
	}
	return fail(name, said+": tokens, relay credentials and certificates are refused.", remedy)
}

// checkOwnClock compares the clock with that of a web server, if one is given, or asks the kernel.
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
		return ok(name, "the kernel's clock is synchronised (to %s).", within.Round(time.Millisecond))
	case known:
		return warn(name, "this machine's clock does not seem to be synchronised, and there is no other to compare it "+
			"with. Tokens, relay credentials and certificates need a correct clock.", "Run timedatectl set-ntp true, or "+
			"siaran doctor --url from another machine, which compares the clocks.")
	}
	return skip(name, "there is no other clock to compare with; siaran doctor --url, from another machine, compares.")
}

// skewTo returns how much this machine's clock is ahead of that of a web server.
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
	res.Body.Close() // HEAD has no body
	skew, known := skewOf(res.Header, begun, time.Now())
	if !known {
		return 0, errors.New("the response has no Date")
	}
	return skew, nil
}

// skewOf reads the Date of a response, given when it was asked for and when it came. The skew is 0 if Date may be
// right.
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
