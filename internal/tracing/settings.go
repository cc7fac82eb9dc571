package tracing

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Wanted reports whether the environment asks for traces.
func Wanted() bool {
	_, endpoint := setting("ENDPOINT")
	return endpoint != "" && !strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") &&
		os.Getenv("OTEL_TRACES_EXPORTER") != "none"
}

// setting returns a variable of the exporter and its name. That of traces alone wins.
func setting(what string) (name, value string) {
	all, traces := "OTEL_EXPORTER_OTLP_"+what, "OTEL_EXPORTER_OTLP_TRACES_"+what
	if value := strings.TrimSpace(os.Getenv(traces)); value != "" {
		return traces, value
	}
	return all, strings.TrimSpace(os.Getenv(all))
}

// check finds what the SDK would pass over, or write to the log with the secrets that it holds.
func check() error {
	name, endpoint := setting("ENDPOINT")
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%s: give the address of a collector, as http://localhost:4318", name)
	}
	if u.User != nil {
		return fmt.Errorf("%s: give user and password as a header, in OTEL_EXPORTER_OTLP_HEADERS", name)
	}
	const usual = "http/protobuf"
	if name, protocol := setting("PROTOCOL"); cmp.Or(protocol, usual) != usual {
		return fmt.Errorf("%s: traces are sent as %s only: give that, with the collector's port for it, which is "+
			"4318 as a rule", name, usual)
	}
	name, headers := setting("HEADERS")
	for field := range strings.SplitSeq(headers, ",") {
		key, value, found := strings.Cut(field, "=")
		if _, err := url.PathUnescape(value); headers != "" && (!found || strings.TrimSpace(key) == "" || err != nil) {
			return errors.New(name + ": give key=value, separated by commas, values percent-encoded")
		}
	}
	return nil
}
