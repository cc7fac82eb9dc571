package listing

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/testutil"
	"siaran/listing/sqlite"
)

const victimFile = "LISTING_TEST_VICTIM" // set in the process that TestKilled kills

func TestMain(m *testing.M) {
	if path := os.Getenv(victimFile); path != "" {
		if err := victim(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(testutil.Main(m))
}

// victim reports a stream to which viewers come without end, prints each, and goes on until it is killed.
func victim(path string) error {
	ctx := context.Background()
	l, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	if _, err := l.RotateKeys(ctx, "cats"); err != nil {
		return err
	}
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	go NewReporter(hub, l, siaran.Node{Name: self}, nil).Run(ctx)
	p, err := hub.Publish(
		"cats",
		"key:1",
		[]siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.Opus, ClockRate: 48000, Channels: 2}}},
	)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := p.Writers()[0].Write(1, 1, true, []byte{1}, now); err != nil {
		return err
	}
	for n := 0; ; n++ {
		v := siaran.Viewer{ID: siaran.NewViewerID(), JoinedAt: time.Now(), Path: "direct"}
		if err := p.Broadcast().Join(v); err != nil {
			return err
		}
		title := fmt.Sprint(n)
		if _, err := l.Edit(ctx, "cats", siaran.StreamEdit{Title: &title}); err != nil {
			return err
		}
		if watching, err := l.Viewers(ctx, "cats"); err == nil && len(watching) > 0 {
			fmt.Println(n) // this title is in the file for good
		}
	}
}
