package metrics

import (
	"siaran"
	"siaran/egress"
	"siaran/ingest"
	"siaran/mediaport"
	"siaran/turn"
)

// Names that are written even before something has been counted, so that a rate begins at zero.
var (
	joinOutcomes = append([]string{
		"connected", "no_check", "no_proof", "no_handshake", "given_up", "fault",
	}, siaran.Refusals...)
	leaveReasons = []string{
		"left", "lost", "kicked", "banned", "withdrawn", "moved", "stream_ended", "closing", "fault", "failed",
	}
	publishOutcomes  = append([]string{"connected", "no_connection", "given_up"}, siaran.Refusals...)
	publisherReasons = []string{
		"hung_up", "stopped", "closing", "fault", "flood", "lost", "no_media", "taken_over", "ended", "failed",
	}
	endReasons = []siaran.EndReason{
		siaran.EndStopped, siaran.EndVanished, siaran.EndReplaced, siaran.EndByOwner, siaran.EndShutdown,
	}
	viewingReasons = []siaran.ViewingReason{
		siaran.ViewingBest, siaran.ViewingBandwidth, siaran.ViewingChosen, siaran.ViewingStarting, siaran.ViewingSilent,
		siaran.ViewingSound,
	}
)

func collectHub(o output, s siaran.HubStats) {
	put(o, broadcasts, s.Starting, "starting")
	put(o, broadcasts, s.Live, "live")
	put(o, broadcasts, s.Interrupted, "interrupted")
	put(o, broadcasts, s.Kept, "kept")
	put(o, pulled, s.Pulled)
	put(o, broadcastsBegan, s.Began)
	for _, reason := range endReasons {
		put(o, broadcastsEnded, s.Ended[reason], string(reason))
	}
	put(o, viewersBelow, s.Below)
	put(o, ringBytes, s.Memory)
	put(o, keyframes, s.Written.Keyframes)
}

func collectIngest(o output, s ingest.Stats) {
	put(o, publishers, s.Setups, "connecting")
	put(o, publishers, s.Silent, "silent")
	put(o, publishers, max(s.Sessions-s.Setups-s.Silent, 0), "sending")
	put(o, pulling, s.Pulls)
	putTally(o, publishes, s.Outcomes, publishOutcomes)
	putTally(o, publishesOver, s.Endings, publisherReasons)
	putHistogram(o, publishSeconds, s.Handshake, "handshake")
	putHistogram(o, publishSeconds, s.Media, "media")
	r := s.Received
	put(o, inPackets, r.Packets)
	put(o, inBytes, r.Bytes)
	put(o, inLost, r.Lost)
	put(o, inAsked, r.Asked)
	put(o, inRepaired, r.Recovered)
	put(o, inTwice, r.Duplicates)
	put(o, inDropped, r.Dropped)
	put(o, inBackward, r.BackwardFrames)
	put(o, inJumps, r.Odd)
	put(o, keyframeRequests, r.KeyframeRequests, "sent")
	put(o, keyframeRequests, r.KeyframesAnswered, "answered")
}

func collectJoins(o output, s egress.Stats) {
	for who, n := range s.Viewers {
		put(o, viewers, n, who.Path, who.Layer)
	}
	for _, reason := range viewingReasons {
		put(o, viewersWhy, s.Reasons[reason], string(reason))
	}
	put(o, viewersSetup, s.Setups)
	put(o, children, s.Children)
	putTally(o, joins, s.Outcomes, joinOutcomes)
	putTally(o, leaves, s.Endings, leaveReasons)
	putTally(o, bans, s.Bans, []string{string(siaran.BannedByToken), string(siaran.BannedByAddress)})
	for i, stage := range egress.StageNames {
		putHistogram(o, joinSeconds, s.Stages[i], stage)
	}
	putHistogram(o, firstFrame, s.FirstFrame)
}

func collectEgress(o output, s egress.Stats) {
	put(o, outPackets, s.Packets)
	put(o, outBytes, s.Bytes)
	put(o, outLost, s.Lost)
	put(o, outRepaired, s.Repaired)
	put(o, outUnrepaired, s.Unrepaired)
	put(o, overruns, s.Overruns)
	put(o, drops, s.Drops.Send, "send")
	put(o, drops, s.Drops.Seal, "seal")
	put(o, drops, s.Drops.Handshake, "handshake")
	put(o, drops, s.Drops.Reports, "reports")
	put(o, drops, s.Drops.Forged, "forged")
	put(o, keyframeRequests, s.Keyframes.Asked, "viewers")
	put(o, keyframeRequests, s.Keyframes.Merged, "merged")
	put(o, keyframeCached, s.Keyframes.Cached)
	putHistogram(o, delay, s.Delay)
	putHistogram(o, late, s.Late)
	put(o, panics, s.Panics)
}

func collectPort(o output, s mediaport.Stats) {
	put(o, udpIn, s.Datagrams)
	put(o, udpInBytes, s.Bytes)
	put(o, udpLimited, s.Limited)
	put(o, udpOut, s.Sent.Datagrams)
	put(o, udpMessages, s.Sent.Messages)
	put(o, udpFlushes, s.Sent.Flushes)
	put(o, udpLost, s.Sent.Lost)
	put(o, udpRuns, truth(s.Runs))
	put(o, udpRefused, s.Refused)
}

func collectRelay(o output, s turn.Stats) {
	put(o, relayAllocations, s.Allocations)
	put(o, relayConnections, s.Connections)
	put(o, relayMade, s.Allocated)
	put(o, relayBindings, s.Bindings)
	for _, f := range []struct {
		family family
		values map[string]uint64
	}{
		{relayAuth, map[string]uint64{
			"ok": s.Auth.OK, "wrong": s.Auth.Wrong, "expired": s.Auth.Expired, "revoked": s.Auth.Revoked,
		}},
		{relayRefused, map[string]uint64{
			"permission": s.Refused.Permission, "quota": s.Refused.Quota, "capacity": s.Refused.Capacity,
			"connection": s.Refused.Connection,
		}},
		{relayClosed, map[string]uint64{
			"unused": s.Closed.Unused, "released": s.Closed.Released, "revoked": s.Closed.Revoked, "idle": s.Closed.Idle,
			"slow": s.Closed.Slow,
		}},
		{relayDatagrams, map[string]uint64{"up": s.Up.Datagrams, "down": s.Down.Datagrams}},
		{relayBytes, map[string]uint64{"up": s.Up.Bytes, "down": s.Down.Bytes}},
		{relayDrops, map[string]uint64{
			"foreign": s.Drops.Foreign, "permission": s.Drops.Permission, "unknown": s.Drops.Unknown, "rate": s.Drops.Rate,
			"queue": s.Drops.Queue, "junk": s.Drops.Junk, "limited": s.Drops.Limited,
		}},
	} {
		putTally(o, f.family, f.values, nil)
	}
}
