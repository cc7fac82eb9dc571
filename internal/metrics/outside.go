package metrics

import (
	"siaran/internal/webhook"
	"siaran/web/admission"
)

// collectWebhooks writes about messages to the operator's receivers.
func collectWebhooks(o output, s webhook.Stats) {
	put(o, webhookWaiting, s.Waiting)
	put(o, webhookOldest, seconds(s.Oldest))
	put(o, webhookFailing, s.Failing)
	put(o, webhookRequests, s.Taken, "taken")
	put(o, webhookRequests, s.Refused, "refused")
	put(o, webhookRequests, s.NoAnswer, "no_answer")
	put(o, webhookLost, s.GivenUp, "given_up")
	put(o, webhookLost, s.Dropped, "full")
	put(o, webhookLost, s.Gone, "gone")
}

// collectAdmission writes about questions to the operator's site.
func collectAdmission(o output, s admission.Stats) {
	put(o, admissionQuestions, s.Allowed, "allowed")
	put(o, admissionQuestions, s.Refused, "refused")
	put(o, admissionQuestions, s.NoAnswer, "no_answer")
	put(o, admissionQuestions, s.Limited, "limited")
	put(o, admissionQuestions, s.Kept, "kept")
	putHistogram(o, admissionSeconds, s.Took)
}
