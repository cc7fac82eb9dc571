package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"

	"siaran"
	"siaran/internal/upstream"
)

// ParentConfig says how a server reaches the one that it pulls streams from.
type ParentConfig struct {
	URL  *url.URL
	Node string // this server's name
	// Token makes a token for a stream as the server does; nil: it shares no secret.
	Token func(siaran.StreamName) (string, error)
	Roots *x509.CertPool // nil: the system's
}

// parentStages are what is looked at on the way to a parent, in order.
var parentStages = []string{"dns", "tcp", "tls", "http", "clock", "ready", "secret", "stream", "udp"}

// checkWayToParent goes the way to a parent as a pull does: from its name to media from its port.
func checkWayToParent(ctx context.Context, resolver *net.Resolver, cfg ParentConfig, report func(Check)) {
	o := newRemote(cfg.URL, ServerConfig{Roots: cfg.Roots, Resolver: resolver}, func(c Check) {
		c.Name = "parent-" + c.Name
		report(c)
	})
	o.flag = "--parent"
	defer o.client.CloseIdleConnections()
	for _, stage := range []func(context.Context) bool{o.checkDNS, o.checkTCP, o.checkTLS, o.checkHTTP} {
		if stage(ctx) {
			continue
		}
		for _, name := range parentStages {
			if !slices.ContainsFunc(o.report.Checks, func(c Check) bool { return c.Name == name }) {
				o.add(skip(name, "not tried, because an earlier stage failed."))
			}
		}
		return
	}
	o.checkReady(ctx)
	o.checkSecret(ctx, cfg)
	if !o.findStream(ctx) {
		o.add(skip("udp", "not tried, because there is no stream to watch."))
		return
	}
	o.add(o.checkUDP(ctx)...)
}

// checkSecret asks for a stream as a pull does. A server that knows this one tells it its name.
func (o *remote) checkSecret(ctx context.Context, cfg ParentConfig) {
	const name, probe = "secret", siaran.StreamName("doctor")
	var token string
	if cfg.Token != nil {
		var err error
		if token, err = cfg.Token(probe); err != nil {
			o.add(fail(name, fmt.Sprintf("no token can be made with the shared secret: %v.", err), "Check --secret-file."))
			return
		}
	}
	res, body, err := o.ask(ctx, http.MethodGet, "/api/streams/"+string(probe), token, nil,
		upstream.HeaderWay, siaran.Way{}.Extended(cfg.Node).String())
	if err != nil {
		o.add(fail(name, fmt.Sprintf("the parent does not answer: %s.", plainDial(err)), "Look at its log."))
		return
	}
	node := res.Header.Get(upstream.HeaderNode)
	switch {
	case res.StatusCode == http.StatusLoopDetected || node == cfg.Node:
		o.add(fail(name, fmt.Sprintf("the parent is this very server, or is below it, or has its name, %s.", cfg.Node),
			"Give --parent the address of another server, and each server a --node of its own."))
	case node != "":
		o.add(ok(name, "the parent, %s, knows this server by the secret that they share.", node))
	case cfg.Token == nil:
		o.add(Check{name, Skip, "there is no shared secret: for the parent this server is a viewer, to whom private " +
			"streams do not exist.", "To pull them too, give both servers the same --secret-file."})
	case res.StatusCode == http.StatusOK || res.StatusCode/100 == 4:
		o.add(fail(name, fmt.Sprintf("the parent does not know this server (%d%s): public streams play, private ones do not.",
			res.StatusCode, detail(body)),
			"Give both servers the same --secret-file. If they have it, look whether their clocks agree, and whether a "+
				"proxy before the parent takes Authorization or "+upstream.HeaderNode+" away."))
	default:
		o.add(fail(name, fmt.Sprintf("the parent answers %d%s.", res.StatusCode, detail(body)), "Look at its log."))
	}
}
