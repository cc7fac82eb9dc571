package egress

import "testing"

func TestTimelineRisesAndMeetsTheEdge(t *testing.T) {
	tl := timeline{offset: 1000}
	const frame = 3000
	edge := int64(300 * frame)
	last := int64(-1)
	for in := int64(0); in <= edge; in += frame {
		if in%(4*frame) == 0 && edge < 400*frame {
			edge += frame
		}
		out := tl.at(in, edge)
		if out <= last {
			t.Fatalf("frame %d: %d after %d", in, out, last)
		}
		if again := tl.at(in, edge+5000); again != out {
			t.Fatalf("two timestamps for one frame: %d, %d", out, again)
		}
		if behind := edge + tl.offset - out; behind > 401*frame/compression {
			t.Fatalf("frame %d is shown %d behind the edge", in, behind)
		}
		last = out
	}
	if last != edge+tl.offset {
		t.Errorf("at the edge %d, want %d", last, edge+tl.offset)
	}
	for in, want := range map[int64]int64{edge: edge + tl.offset, edge + frame: edge + frame + tl.offset} {
		if got := tl.sent(in); got != want {
			t.Errorf("frame %d went out at %d, want %d", in, got, want)
		}
	}
	if got := tl.sent(0); got <= tl.offset {
		t.Errorf("the first frame is remembered with %d, its usual timestamp", got)
	}

	// The key frame goes out once more, and what follows it.
	tl.follow(0)
	for in := edge - 60*frame; in <= edge+frame; in += frame {
		out := tl.at(in, max(in, edge))
		if out <= last {
			t.Fatalf("frame %d again: %d after %d", in, out, last)
		}
		last = out
	}
	if want := edge + frame + tl.offset; last != want {
		t.Errorf("at the edge %d, want %d", last, want)
	}
}
