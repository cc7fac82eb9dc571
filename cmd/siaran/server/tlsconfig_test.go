package server

import (
	"strings"
	"testing"
	"time"
)

// TestSettingsOfTLS: what makes no sense is told with what to do.
func TestSettingsOfTLS(t *testing.T) {
	for _, test := range []struct {
		c    TLSConfig
		says string
	}{
		{TLSConfig{TLSCert: "x"}, "give both"},
		{TLSConfig{TLSKey: "x"}, "give both"},
		{TLSConfig{TLSCert: "x", TLSKey: "x", ACME: []string{"a.example"}}, "give only one of them"},
		{TLSConfig{ACME: []string{"*.example.org"}}, "without *"},
		{TLSConfig{ACME: []string{"https://a.example"}}, "give a domain"},
		{TLSConfig{ACME: []string{"192.0.2.1"}}, "give a domain"},
		{TLSConfig{ACME: []string{"a.example:443"}}, "without a port"},
		{TLSConfig{ACMEMail: "me@example.org"}, "need --acme"},
		{TLSConfig{ACME: []string{"a.example"}, ACMEMail: "me"}, "--acme-email"},
		{TLSConfig{ACME: []string{"a.example"}, ACMECA: "http://ca.example"}, "--acme-ca"},
		{TLSConfig{Redirect: ":80"}, "no HTTPS to redirect to"},
		{TLSConfig{TLSCert: "x", TLSKey: "x", Redirect: "80"}, ":port"},
		{TLSConfig{HSTS: -1}, "--hsts"},
	} {
		if err := test.c.check(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v", test.c, err)
		}
	}
	for _, c := range []TLSConfig{{}, {TLSCert: "x", TLSKey: "y", Redirect: ":80", HSTS: time.Hour},
		{ACME: []string{"a.example", "b.c.example"}, ACMEMail: "me@example.org"}} {
		if err := c.check(); err != nil {
			t.Error(err)
		}
	}
	for want, c := range map[string]Config{":8080": {}, ":443": {TLSConfig: TLSConfig{ACME: []string{"a.example"}}},
		":1": {Listen: ":1", TLSConfig: TLSConfig{ACME: []string{"a.example"}}}} {
		got, _ := c.Checked() // the rest is empty, which it says
		if got.Listen != want {
			t.Errorf("%s, want %s", got.Listen, want)
		}
	}
}
