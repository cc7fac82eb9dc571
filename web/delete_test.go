package web

import (
	"encoding/json"
	"testing"

	"siaran"
	"siaran/internal/testutil"
	"siaran/web/access"
)

// TestDelete: the owner or an administrator deletes a stream that is not live. Its old tokens are void from then on,
// both while the name is free and when somebody else has it.
func TestDelete(t *testing.T) {
	t.Parallel()
	s := start(t, withAccounts)
	remove := func(token string) reply { return s.do(call{method: "DELETE", path: "/api/streams/kopi", token: token}) }
	first := s.publisher("kopi") // of the first generation, for later
	wantProblem(t, remove("account:ana:1"), 404)
	if r := s.do(call{method: "POST", path: "/api/streams/kopi/keys", token: "account:ana:1"}); r.StatusCode != 201 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	var key struct{ Token string }
	r := s.do(call{method: "POST", path: "/api/streams/kopi/keys", token: "account:ana:1"})
	s.must(json.Unmarshal([]byte(r.body), &key))

	wantProblem(t, remove(""), 401)
	wantProblem(t, remove("account:budi:1"), 403)
	wantProblem(t, remove(key.Token), 403)
	wantProblem(t, remove(s.token(access.Claims{Stream: access.AllStreams, Scopes: []access.Scope{access.Publish}})), 403)

	s.onAir("kopi", key.Token)
	wantProblem(t, remove("account:ana:1"), 409)
	r = s.do(call{method: "DELETE", path: "/api/streams/kopi/broadcast", token: "account:ana:1"})
	if r.StatusCode != 204 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	testutil.Eventually(t, "deleted once its end is listed",
		func() bool { return remove("account:ana:1").StatusCode == 204 })
	wantProblem(t, s.do(call{method: "GET", path: "/api/streams/kopi"}), 404)
	void := func() {
		t.Helper()
		for _, token := range []string{first, key.Token} {
			wantProblem(t, s.do(call{method: "GET", path: "/api/tokens/self", token: token}), 401)
			wantProblem(t, s.broadcaster().open("/whip/kopi", token), 401)
		}
	}
	void()
	wantProblem(t, remove(s.admin), 404)
	s.onAir("kopi", "account:budi:1")
	void()
	stream, err := s.listing.Stream(t.Context(), "kopi")
	if err != nil || stream.Owner != "firebase:budi" || stream.Visibility != siaran.VisibilityPublic {
		t.Errorf("%+v, %v", stream, err)
	}
	wantProblem(t, remove("account:ana:1"), 403)

	s.must2(s.listing.Edit(t.Context(), "dogs", siaran.StreamEdit{}))
	if r := s.do(call{method: "DELETE", path: "/api/streams/dogs", token: s.admin}); r.StatusCode != 204 {
		t.Errorf("an administrator: %d %s", r.StatusCode, r.body)
	}
	// A key made now is of the generation that holds.
	ask := call{method: "POST", path: "/api/streams/dogs/keys", token: s.admin, body: `{"revoke":false}`}
	if r = s.do(ask.with(jsonBody...)); r.StatusCode != 201 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	s.must(json.Unmarshal([]byte(r.body), &key))
	s.onAir("dogs", key.Token)
}
