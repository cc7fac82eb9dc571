package firebaseauth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
)

const project = "demo-siaran"

// google stands in for what the SDK asks of Google: the public keys and the accounts.
type google struct {
	key      *rsa.PrivateKey
	verifier *Verifier
	log      *strings.Builder

	asked, looked atomic.Int64 // requests in all, and for accounts
	down          atomic.Bool  // connections are refused
	hang          atomic.Bool  // accounts are asked for in vain

	mu       sync.Mutex
	accounts map[string]account
	refuse   string // error of each look-up, when not empty
}

type account struct {
	Disabled   bool
	Admin      bool
	ValidSince int64 // seconds
}

// newGoogle makes a verifier whose SDK believes that the stand-in is Google.
func newGoogle(t testing.TB) *google {
	t.Helper()
	g := &google{accounts: map[string]account{"ana": {}}, log: &strings.Builder{}}
	var err error
	if g.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(g.serve))
	t.Cleanup(server.Close)

	// The SDK makes its clients of the default transport.
	standard := http.DefaultTransport
	http.DefaultTransport = &http.Transport{
		DisableKeepAlives: true,
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if g.down.Load() {
				return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("connection refused")}
			}
			return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
		},
	}
	defer func() { http.DefaultTransport = standard }()
	g.verifier, err = Open(t.Context(), Config{
		Project: project,
		Options: []option.ClientOption{
			option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "t"})),
		},
		Logger: slog.New(slog.NewTextHandler(g.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *google) serve(w http.ResponseWriter, r *http.Request) {
	g.asked.Add(1)
	w.Header().Set("Content-Type", "application/json")
	if strings.HasPrefix(r.URL.Path, "/robot/v1/metadata/x509/") {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		json.NewEncoder(w).Encode(map[string]string{"k1": g.certificate()})
		return
	}
	g.looked.Add(1)
	var body struct{ LocalID []string }
	json.NewDecoder(r.Body).Decode(&body)
	if g.hang.Load() {
		<-r.Context().Done() // which is noticed only when the body has been read
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.URL.Path != "/v1/projects/"+project+"/accounts:lookup" || len(body.LocalID) != 1 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if g.refuse != "" {
		var body struct{ Error struct{ Code int } }
		json.Unmarshal([]byte(g.refuse), &body)
		w.WriteHeader(body.Error.Code)
		fmt.Fprint(w, g.refuse)
		return
	}
	users := []map[string]any{}
	if a, ok := g.accounts[body.LocalID[0]]; ok {
		users = append(users, map[string]any{"localId": body.LocalID[0], "disabled": a.Disabled,
			"validSince": fmt.Sprint(a.ValidSince), "customAttributes": fmt.Sprintf(`{"admin":%t}`, a.Admin)})
	}
	json.NewEncoder(w).Encode(map[string]any{"users": users})
}

func (g *google) set(uid string, a account) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accounts[uid] = a
}

func (g *google) certificate() string {
	body := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, body, body, &g.key.PublicKey, g.key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// claims are those of a good token; more is put over them.
func (g *google) claims(uid string, more map[string]any) jwt.MapClaims {
	now := time.Now().Unix()
	c := jwt.MapClaims{
		"iss": "https://securetoken.google.com/" + project, "aud": project, "sub": uid, "user_id": uid,
		"iat": now - 10, "auth_time": now - 10, "exp": now + 3600, "firebase": map[string]any{"sign_in_provider": "password"},
	}
	for name, value := range more {
		c[name] = value
	}
	return c
}

func (g *google) token(t testing.TB, uid string, more map[string]any) string {
	t.Helper()
	return sign(t, jwt.SigningMethodRS256, g.key, "k1", g.claims(uid, more))
}

func sign(t testing.TB, method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
