package whip

import (
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"siaran/internal/signalling"

	"github.com/pion/webrtc/v3"
)

func TestRelaysOfAnEndpoint(t *testing.T) {
	const ours = `; rel="ice-server"; username="1:a"; credential="p="; credential-type="password"`
	for name, test := range map[string]struct {
		fields []string
		want   []string // URL, user and password
	}{
		"ours": {
			[]string{
				`<turn:live.example.org:3478?transport=udp>` + ours,
				`<turn:live.example.org:3478?transport=tcp>` + ours,
				`<turns:live.example.org:443?transport=tcp>` + ours,
			},
			[]string{"turn:live.example.org:3478?transport=tcp 1:a p=", "turns:live.example.org:443?transport=tcp 1:a p="},
		},
		"in one field": {
			[]string{
				`<stun:a.example.org>;rel=ice-server, ` +
					`<turns:b.example.org>; rel=ice-server; username="x,y"; credential="\"<", </x>; rel="next"`,
			},
			[]string{`turns:b.example.org x,y "<`},
		},
		"of no use": {
			[]string{
				`<turn:a.example.org?transport=tcp>; rel="ice-server"`,
				`<turn:?transport=tcp>; rel="ice-server"; username="u"; credential="p"`,
				`<https://a.example.org>; rel="ice-server"; username="u"; credential="p"`,
				`turn:a`, ``, `<`, `>;;;`,
				`<turns:a>; rel="ice-server"; username="u`,
			},
			nil,
		},
		"too many": {
			[]string{strings.Repeat(`<turns:a>; rel=ice-server; username=u; credential=p,`, 100)},
			slices.Repeat([]string{"turns:a u p"}, maxRelays),
		},
	} {
		s := serve(t, map[string]http.HandlerFunc{"OPTIONS /whip": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer secret" {
				t.Error("the request has no token")
			}
			w.Header()["Link"] = test.fields
		}})
		endpoint, err := url.Parse(s.URL + "/whip")
		if err != nil {
			t.Fatal(err)
		}
		list, err := relays(t.Context(), signalling.New(nil, "secret"), endpoint)
		var got []string
		for _, r := range list {
			got = append(got, r.url+" "+r.user+" "+r.password)
		}
		if !reflect.DeepEqual(got, test.want) || (err == nil) != (test.want != nil) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// FuzzRelays parses arbitrary Link fields.
func FuzzRelays(f *testing.F) {
	f.Add(`<turns:b.example.org>; rel="ice-server"; username="x,y"; credential="\"<"`)
	f.Add(`<a>,<b>;x="\`)
	f.Add(`turn:[1]3478?ansport=tcZ>;rel=ice-server;username=u;credential=p`) // pion's parser never returns from this
	f.Add(`<turn:[::1]:3478?transport=tcp>;rel=ice-server;username=u;credential=p,,`)
	f.Fuzz(func(t *testing.T, field string) {
		list := parseRelays([]string{field, field})
		if len(list) > maxRelays {
			t.Errorf("%d relays", len(list))
		}
		for _, r := range list {
			pc, err := webrtc.NewPeerConnection(webrtc.Configuration{ICEServers: []webrtc.ICEServer{r.server()}})
			if err == nil {
				pc.Close()
			}
			_, port, wrong := net.SplitHostPort(r.address)
			if (err != nil || wrong != nil) && len(port) < 5 || r.user == "" || r.password == "" {
				t.Errorf("%+v: %v", r, err)
			}
		}
	})
}
