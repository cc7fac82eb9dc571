package whip

import (
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/pion/webrtc/v3"
)

func TestRelaysOfAnEndpoint(t *testing.T) {
	for name, test := range map[string]struct {
		fields []string
		want   []string // URL, user and password
	}{
		"ours": {
			[]string{
				`<turn:live.example.org:3478?transport=udp>; rel="ice-server"; username="1:a"; credential="p="; credential-type="password"`,
				`<turn:live.example.org:3478?transport=tcp>; rel="ice-server"; username="1:a"; credential="p="; credential-type="password"`,
				`<turns:live.example.org:443?transport=tcp>; rel="ice-server"; username="1:a"; credential="p="; credential-type="password"`,
			},
			[]string{"turn:live.example.org:3478?transport=tcp 1:a p=", "turns:live.example.org:443?transport=tcp 1:a p="},
		},
		"in one field": {
			[]string{`<stun:a.example.org>;rel=ice-server, <turns:b.example.org>; rel=ice-server; username="x,y"; credential="\"<", </x>; rel="next"`},
			[]string{`turns:b.example.org x,y "<`},
		},
		"of no use": {
			[]string{
				`<turn:a.example.org?transport=tcp>; rel="ice-server"`, `<turn:?transport=tcp>; rel="ice-server"; username="u"; credential="p"`,
				`<https://a.example.org>; rel="ice-server"; username="u"; credential="p"`, `turn:a`, ``, `<`, `>;;;`, `<turns:a>; rel="ice-server"; username="u`,
			},
			nil,
		},
		"too many": {[]string{strings.Repeat(`<turns:a>; rel=ice-server; username=u; credential=p,`, 100)}, []string{
			"turns:a u p", "turns:a u p", "turns:a u p", "turns:a u p", "turns:a u p", "turns:a u p", "turns:a u p", "turns:a u p",
		}},
	} {
		s := serve(t, map[string]http.HandlerFunc{"OPTIONS /whip": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer secret" {
				t.Error("without the token")
			}
			w.Header()["Link"] = test.fields
		}})
		list, err := newSignaller(nil, "secret").relays(t.Context(), parseURL(t, s.URL+"/whip"))
		var got []string
		for _, r := range list {
			got = append(got, r.url+" "+r.user+" "+r.password)
		}
		if !reflect.DeepEqual(got, test.want) || (err == nil) != (test.want != nil) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// FuzzRelays reads Link fields of any kind.
func FuzzRelays(f *testing.F) {
	f.Add(`<turns:b.example.org>; rel="ice-server"; username="x,y"; credential="\"<"`)
	f.Add(`<a>,<b>;x="\`)
	f.Add(`turn:[1]3478?ansport=tcZ>;rel=ice-server;username=u;credential=p`) // which pion's parser reads for ever
	f.Add(`<turn:[::1]:3478?transport=tcp>;rel=ice-server;username=u;credential=p,,`)
	f.Fuzz(func(t *testing.T, field string) {
		list := parseRelays([]string{field, field})
		if len(list) > maxRelays {
			t.Errorf("%d relays", len(list))
		}
		for _, r := range list {
			pc, err := webrtc.NewPeerConnection(webrtc.Configuration{ICEServers: []webrtc.ICEServer{{URLs: []string{r.url}, Username: r.user, Credential: r.password}}})
			if err == nil {
				pc.Close()
			}
			if _, port, wrong := net.SplitHostPort(r.address); (err != nil || wrong != nil) && len(port) < 5 || r.user == "" || r.password == "" {
				t.Errorf("%+v: %v", r, err)
			}
		}
	})
}
