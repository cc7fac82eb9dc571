package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"siaran/web"
	"siaran/web/access"
	"siaran/web/access/firebaseauth"
)

const maxWebConfig = 64 << 10 // bytes

// AuthConfig says which accounts the server accepts in addition to its own tokens.
type AuthConfig struct {
	AuthFirebase      bool   `name:"auth-firebase"`
	FirebaseWebConfig string `name:"firebase-web-config" placeholder:"FILE"`
	Dev               bool
}

// emulators are the environment variables that make Google's libraries use an emulator, which accepts any claim.
var emulators = []string{"FIRESTORE_EMULATOR_HOST", "FIREBASE_AUTH_EMULATOR_HOST"}

// Emulators returns the emulators that the environment names, as NAME=VALUE.
func Emulators() []string {
	var set []string
	for _, name := range emulators {
		if value := os.Getenv(name); value != "" {
			set = append(set, name+"="+value)
		}
	}
	return set
}

func (c AuthConfig) check() error {
	if set := Emulators(); len(set) > 0 && !c.Dev {
		return fmt.Errorf(
			"%s is set: an emulator checks nobody's identity and stores nothing permanently. "+
				"Remove it from the environment, or add --dev on a development machine",
			strings.Join(set, " and "),
		)
	}
	if c.FirebaseWebConfig == "" {
		return nil
	}
	if !c.AuthFirebase {
		return errors.New("--firebase-web-config: people could sign in to the studio, but the server would refuse them: " +
			"add --auth-firebase")
	}
	_, err := c.signIn()
	return err
}

// signIn returns what the studio needs to sign people in, or nil if it offers no sign-in.
func (c AuthConfig) signIn() (*web.SignIn, error) {
	if c.FirebaseWebConfig == "" {
		return nil, nil
	}
	text := []byte(c.FirebaseWebConfig)
	if !strings.HasPrefix(strings.TrimSpace(c.FirebaseWebConfig), "{") {
		f, err := os.Open(c.FirebaseWebConfig)
		if err != nil {
			return nil, fmt.Errorf("--firebase-web-config: %w", err)
		}
		defer f.Close() // it is only read
		if text, err = io.ReadAll(io.LimitReader(f, maxWebConfig)); err != nil {
			return nil, fmt.Errorf("--firebase-web-config %s: %w", c.FirebaseWebConfig, err)
		}
	}
	var s web.SignIn
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf(
			`--firebase-web-config: not JSON such as {"apiKey": "...", "authDomain": "...", "projectId": "..."}: %w`,
			err,
		)
	}
	s.Emulator = os.Getenv("FIREBASE_AUTH_EMULATOR_HOST")
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("--firebase-web-config: %w", err)
	}
	return &s, nil
}

// openAuth sets up the token verifiers. A problem with the Firebase project is an error. If Google cannot be reached at
// the moment, the server starts all the same.
func (s *server) openAuth(ctx context.Context) (err error) {
	if set := Emulators(); len(set) > 0 {
		s.logger.Warn(
			"DEVELOPMENT MODE: EMULATORS REPLACE FIREBASE. ANYONE CAN CLAIM ANY IDENTITY, AND NOTHING IS STORED PERMANENTLY",
			"emulators", strings.Join(set, " "),
		)
	}
	s.tokens = s.secret
	if !s.cfg.AuthFirebase {
		return nil
	}
	if s.signIn, err = s.cfg.signIn(); err != nil {
		return err
	}
	accounts, err := s.cfg.openAccounts(ctx, s.signIn, s.logger)
	if err != nil {
		return err
	}
	switch err := accounts.Check(ctx); {
	case errors.Is(err, access.ErrUnreachable):
		s.logger.Warn(
			"Firebase Authentication does not answer; until it does, no account is accepted",
			"error", errors.Unwrap(err),
		)
	case err != nil:
		return fmt.Errorf("--auth-firebase: %w", err)
	}
	s.tokens = access.ByIssuer(s.secret, map[string]access.TokenVerifier{accounts.Issuer(): accounts})
	return nil
}

// openAccounts opens the accounts of the configured project. It sends no request.
func (c Config) openAccounts(
	ctx context.Context, signIn *web.SignIn, logger *slog.Logger,
) (*firebaseauth.Verifier, error) {
	project := c.firebaseProject()
	switch {
	case signIn != nil && project == "":
		project = signIn.Project
	case signIn != nil && project != signIn.Project:
		return nil, fmt.Errorf(
			"--firebase-web-config is for the project %s, but the server uses %s: use the same project for both",
			signIn.Project, project,
		)
	case project == "":
		return nil, errors.New("--auth-firebase: the Firebase project is not known: give --firebase-project")
	}
	accounts, err := firebaseauth.Open(ctx, firebaseauth.Config{Project: project, Logger: logger})
	if err != nil {
		return nil, fmt.Errorf(
			"--auth-firebase: the server has no access to the accounts: "+
				"set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account: %w",
			err,
		)
	}
	return accounts, nil
}

// firebaseProject returns the configured project, or an empty string if none is configured.
func (c Config) firebaseProject() string {
	return cmp.Or(c.FirebaseProject, os.Getenv("GOOGLE_CLOUD_PROJECT"))
}

// CheckAccounts returns an error if the server cannot use Firebase Authentication.
func (c Config) CheckAccounts(ctx context.Context) error {
	signIn, err := c.signIn()
	if err != nil {
		return err
	}
	accounts, err := c.openAccounts(ctx, signIn, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return accounts.Check(ctx)
}
