package measure_test

import (
	"testing"
	"time"

	"siaran/internal/measure"
)

// TestNoTrace: where nobody wants traces, sessions allocate nothing for them.
func TestNoTrace(t *testing.T) {
	ctx, now := t.Context(), time.Now()
	if n := testing.AllocsPerRun(100, func() {
		trace := measure.TraceOf(ctx)
		trace.Part("offer", now, now)
		trace.End(measure.SessionEnd{Stream: "cats", Reason: "left", From: now, To: now})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
