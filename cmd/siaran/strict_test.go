package main

import (
	"fmt"
	"net/http"
	"testing"

	"siaran/web/access"
)

// TestStrictSessionAuth: the address of a session alone is not enough then, which it is otherwise.
func TestStrictSessionAuth(t *testing.T) {
	for strict, want := range map[bool]int{true: http.StatusUnauthorized, false: http.StatusOK} {
		t.Run(fmt.Sprint(strict), func(t *testing.T) {
			s := startServer(t, func(c *Config) { c.StrictSessionAuth = strict })
			b := s.broadcast(t, cats, s.token(t, "cats", access.Publish), 25)
			if got := s.request(t, http.MethodDelete, b.session.Resource(), "", "", "").StatusCode; got != want {
				t.Errorf("status %d, want %d", got, want)
			}
		})
	}
}
