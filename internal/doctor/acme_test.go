package doctor

import (
	"errors"
	"net"
	"strings"
	"testing"
)

func TestWhereADomainLeads(t *testing.T) {
	for _, c := range []struct {
		domain, public, interfaces, mapped string
		status                             Status
		says                               string
	}{
		{"203.0.113.7", "", "203.0.113.7", "", OK, "leads to this machine"},
		{"203.0.113.7 2001:db8::7", "203.0.113.7", "10.0.0.5 2001:db8::7", "", OK, "leads to this machine"},
		{"203.0.113.7", "", "10.0.0.5", "203.0.113.7", OK, "leads to this machine"},
		{"203.0.113.7", "", "10.0.0.5", "", Warn, "may or may not be this machine"},
		{"203.0.113.7", "198.51.100.1", "10.0.0.5", "", Fail, "203.0.113.7, which is not this machine (198.51.100.1)"},
		{"203.0.113.7 198.51.100.1", "198.51.100.1", "10.0.0.5", "", Fail, "leads to 203.0.113.7"},
	} {
		f := addressFacts{public: ips(t, c.public), interfaces: ips(t, c.interfaces), mapped: ips(t, c.mapped)}
		said(t, checkResolved("live.example.org", ips(t, c.domain), f), c.status, c.says)
	}
}

func TestDomainThatIsUnknown(t *testing.T) {
	one(t, checkDomain(t.Context(), net.DefaultResolver, "no-such-name.invalid", addressFacts{}, nobody), Fail,
		"no-such-name.invalid has no address")
	list := checkDomain(t.Context(), net.DefaultResolver, "127.0.0.1", addressFacts{interfaces: ips(t, "127.0.0.1")},
		nobody)
	if len(list) != 2 {
		t.Fatal(list)
	}
	said(t, list[0], OK, "leads to this machine")
	said(t, list[1], Skip, "while the server does not run")
}

func TestPlainDNS(t *testing.T) {
	for err, says := range map[error]string{
		&net.DNSError{IsNotFound: true}: "does not exist", &net.DNSError{IsTimeout: true}: "no DNS server answers",
		&net.DNSError{Err: "server misbehaving"}: "server misbehaving", errors.New("odd"): "odd",
	} {
		if got := plainDNS(err); !strings.Contains(got, says) {
			t.Errorf("%v: %s", err, got)
		}
	}
}
