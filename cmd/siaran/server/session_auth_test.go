package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/web/access"
)

// TestStrictSessionAuth: the address of a session alone is not enough then, which it is otherwise.
func TestStrictSessionAuth(t *testing.T) {
	for strict, want := range map[bool]int{true: http.StatusUnauthorized, false: http.StatusOK} {
		t.Run(fmt.Sprint(strict), func(t *testing.T) {
			s := harness.Start(t, func(c *server.Config) { c.StrictSessionAuth = strict })
			b := s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), 25)
			if got := s.Request(t, http.MethodDelete, b.Session.Resource(), "", "", "").StatusCode; got != want {
				t.Errorf("status %d, want %d", got, want)
			}
		})
	}
}
