package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"html"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"
)

// SignIn is what the studio needs to sign people in with Firebase Authentication. All of it is public.
type SignIn struct {
	APIKey     string `json:"apiKey"`
	AuthDomain string `json:"authDomain"` // such as PROJECT.firebaseapp.com
	Project    string `json:"projectId"`
	Emulator   string `json:"emulator,omitempty"` // host:port of the Auth emulator, for development
}

var (
	webKey    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}$`)
	webDomain = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?(:[0-9]{1,5})?$`)
	webName   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

// Check returns what is missing or invalid. Domains go into a Content-Security-Policy, so they must be nothing else.
func (s SignIn) Check() error {
	switch {
	case !webKey.MatchString(s.APIKey):
		return errors.New("apiKey is missing or invalid")
	case !webDomain.MatchString(s.AuthDomain):
		return errors.New("authDomain is missing or invalid: it looks like PROJECT.firebaseapp.com")
	case !webName.MatchString(s.Project):
		return errors.New("projectId is missing or invalid")
	case s.Emulator != "" && !webDomain.MatchString(s.Emulator):
		return errors.New("the address of the Auth emulator is invalid: it looks like 127.0.0.1:9099")
	}
	return nil
}

// policy returns the Content-Security-Policy of the studio: that of other pages, plus the hosts that the Firebase SDK
// talks to. The window for signing in with Google needs no entry; the script and the frame bring its answer back.
func (s SignIn) policy() string {
	calls, frames := " https://identitytoolkit.googleapis.com https://securetoken.googleapis.com", " https://"+s.AuthDomain
	if s.Emulator != "" {
		calls, frames = calls+" http://"+s.Emulator, frames+" http://"+s.Emulator
	}
	return strings.NewReplacer(
		"script-src 'self'", "script-src 'self' https://apis.google.com",
		"connect-src 'self'", "connect-src 'self'"+calls,
		"base-uri ", "frame-src"+frames+"; base-uri ",
	).Replace(pagePolicy) + "'none'"
}

// studio serves the studio. If people can sign in, the head of the page has what the Firebase SDK needs.
func (s *Server) studio() echo.HandlerFunc {
	in := s.cfg.SignIn
	if in == nil {
		return s.page("studio.html")
	}
	about, _ := json.Marshal(in) // strings can always be marshalled
	meta := "<meta name=\"siaran-sign-in\" content=\"" + html.EscapeString(string(about)) + "\">\n</head>"
	plain := s.assets.byPath["studio.html"]
	asset := newAsset(bytes.Replace(plain.body, []byte("</head>"), []byte(meta), 1), plain.contentType)
	policy := in.policy()
	return func(c echo.Context) error {
		h := c.Response().Header()
		pageHeaders(h, "studio.html", "", "")
		h.Set(echo.HeaderContentSecurityPolicy, policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups") // the sign-in window reports back
		h.Set(echo.HeaderReferrerPolicy, "strict-origin")               // API keys may be limited to sites
		asset.serve(c)
		return nil
	}
}
