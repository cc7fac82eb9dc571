package signalling

import (
	"slices"
	"strings"
	"testing"
)

func TestICEServers(t *testing.T) {
	for _, test := range []struct {
		field string
		want  []ICEServer
	}{
		{`<turns:a:443?transport=tcp>; rel="ice-server"; username="1:a"; credential="p="; credential-type="password"`,
			[]ICEServer{{"turns:a:443?transport=tcp", "1:a", "p="}}},
		{`<stun:a>;rel=ice-server, <turns:b>; rel=ice-server; username="x,y"; credential="\"<", </x>; rel="next"`,
			[]ICEServer{{"stun:a", "", ""}, {"turns:b", "x,y", `"<`}}},
		{"", nil}, {"<", nil}, {">;;;", nil}, {"turn:a", nil}, {`<turns:a>; rel="ice-server"; username="u`, nil},
	} {
		if got := ICEServers([]string{test.field}); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.field, got, test.want)
		}
	}
	header := strings.Repeat("<stun:a>; rel=ice-server,", 2*maxICEServers)
	if got := ICEServers([]string{header}); len(got) != maxICEServers {
		t.Errorf("%d servers, want %d", len(got), maxICEServers)
	}
}
