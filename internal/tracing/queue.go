package tracing

import (
	"cmp"
	"os"
	"strconv"
	"sync/atomic"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// queue stands before the SDK's, which counts nothing: what it drops for want of room is dropped and counted here.
type queue struct {
	sdk.SpanProcessor
	most    int64
	waiting atomic.Int64 // what the SDK has, until the collector has answered

	sent, refused, full atomic.Uint64
}

// OnEnd implements sdk.SpanProcessor.
func (q *queue) OnEnd(span sdk.ReadOnlySpan) {
	if q.waiting.Add(1) > q.most {
		q.waiting.Add(-1)
		q.full.Add(1)
		return
	}
	q.SpanProcessor.OnEnd(span)
}

// leave notes that spans have gone to the collector, or that it did not take them.
func (q *queue) leave(spans int, taken bool) {
	q.waiting.Add(-int64(spans))
	if taken {
		q.sent.Add(uint64(spans))
	} else {
		q.refused.Add(uint64(spans))
	}
}

// queueSize is that of the SDK.
func queueSize() int {
	size, _ := strconv.Atoi(os.Getenv("OTEL_BSP_MAX_QUEUE_SIZE"))
	if size < 0 {
		size = 0
	}
	return cmp.Or(size, sdk.DefaultMaxQueueSize)
}
