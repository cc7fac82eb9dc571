package siaran

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// MaxWay is how many servers a stream may pass, the one that it begins at included.
const MaxWay = 3

const (
	maxNodeName = 100                 // bytes
	maxWayText  = 4 * 3 * maxNodeName // as it is written; every byte may be escaped
)

// Way lists servers by their names in the order in which a request, or the media that answers it, passes them.
type Way []string

// Extended is the way with one more server at its end.
func (w Way) Extended(node string) Way { return append(slices.Clone(w), node) }

// String writes the way as it stands in a header field: names with commas between them, unusual bytes as in URLs.
func (w Way) String() string {
	var b strings.Builder
	for i, node := range w {
		if i > 0 {
			b.WriteString(", ")
		}
		for _, c := range []byte(node) {
			if c <= ' ' || c >= 0x7f || c == ',' || c == '%' {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}

// ParseWay reads what String writes. It fails with ErrWay for what is too long or no list of names.
func ParseWay(text string) (Way, error) {
	if len(text) > maxWayText {
		return nil, ErrWay
	}
	var w Way
	for part := range strings.SplitSeq(text, ",") {
		node, ok := unescaped(strings.Trim(part, " \t"))
		if !ok || node == "" || len(node) > maxNodeName || len(w) > MaxWay {
			return nil, ErrWay
		}
		w = append(w, node)
	}
	return w, nil
}

func unescaped(text string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' {
			if i+2 >= len(text) {
				return "", false
			}
			high, low := strings.IndexByte(hexDigits, text[i+1]), strings.IndexByte(hexDigits, text[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c, i = byte(high<<4|low), i+2
		} else if c <= ' ' || c >= 0x7f {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

const hexDigits = "0123456789ABCDEF"

type wayKey struct{}

// WithWay returns a context for what is done for a request that has come this way: from servers, the last of which
// has sent it here.
func WithWay(ctx context.Context, w Way) context.Context { return context.WithValue(ctx, wayKey{}, w) }

// WayOf returns the way of the request that a context belongs to. It is empty for a viewer's own request.
func WayOf(ctx context.Context) Way {
	w, _ := ctx.Value(wayKey{}).(Way)
	return w
}

// Check returns ErrLoop or ErrTooFar if a server must not serve a request that has come this way.
func (w Way) Check(node string) error {
	switch {
	case slices.Contains(w, node):
		return fmt.Errorf("%w: %s is on its own way (%s)", ErrLoop, node, w)
	case len(w) >= MaxWay:
		return fmt.Errorf("%w: %s", ErrTooFar, w)
	}
	return nil
}
