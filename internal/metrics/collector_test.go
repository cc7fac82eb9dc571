package metrics

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestFaultWhileCounting makes one scrape fail and nothing else.
func TestFaultWhileCounting(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(&collector{}) // which has nothing to ask
	if _, err := r.Gather(); err == nil {
		t.Error("it has metrics")
	}
}
