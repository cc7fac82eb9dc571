package main

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

// AuthConfig is who is let in besides those who hold a key of this server.
type AuthConfig struct {
	AuthFirebase      bool   `name:"auth-firebase" help:"Let people in who have signed in with Firebase Authentication; see docs/auth.md."`
	FirebaseWebConfig string `name:"firebase-web-config" placeholder:"FILE" help:"JSON of the Firebase console (apiKey, authDomain, projectId), in a file or as it is: the studio then has a place to sign in. It is public."`
	Dev               bool   `help:"Development: use the Firebase emulators that the environment names. Never where others can reach the server."`
}

// emulators are the variables that make Google's libraries believe what anyone says.
var emulators = []string{"FIRESTORE_EMULATOR_HOST", "FIREBASE_AUTH_EMULATOR_HOST"}

// emulatorsSet are those in the environment, as NAME=VALUE.
func emulatorsSet() []string {
	var set []string
	for _, name := range emulators {
		if value := os.Getenv(name); value != "" {
			set = append(set, name+"="+value)
		}
	}
	return set
}

func (c AuthConfig) check() error {
	if set := emulatorsSet(); len(set) > 0 && !c.Dev {
		return fmt.Errorf("%s is set: with an emulator nobody is who they say and nothing is kept. Take it out of the environment, or add --dev on a machine for development", strings.Join(set, " and "))
	}
	if c.FirebaseWebConfig == "" {
		return nil
	}
	if !c.AuthFirebase {
		return errors.New("--firebase-web-config: the studio would sign people in whom the server refuses: add --auth-firebase")
	}
	_, err := c.signIn()
	return err
}

// signIn is what the studio needs to sign people in, nil when it is not to.
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
		defer f.Close() // was only read
		if text, err = io.ReadAll(io.LimitReader(f, maxWebConfig)); err != nil {
			return nil, fmt.Errorf("--firebase-web-config %s: %w", c.FirebaseWebConfig, err)
		}
	}
	var s web.SignIn
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("--firebase-web-config: it is not JSON such as {\"apiKey\": \"...\", \"authDomain\": \"...\", \"projectId\": \"...\"}: %w", err)
	}
	s.Emulator = os.Getenv("FIREBASE_AUTH_EMULATOR_HOST")
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("--firebase-web-config: %w", err)
	}
	return &s, nil
}

// openAuth finds out who is let in. What is wrong with the Firebase project is said now; that Google cannot be
// reached at the moment is no reason not to start.
func (s *server) openAuth(ctx context.Context) (err error) {
	if set := emulatorsSet(); len(set) > 0 {
		s.logger.Warn("DEVELOPMENT MODE: EMULATORS STAND IN FOR FIREBASE. ANYONE CAN BE ANYONE, AND NOTHING IS KEPT", "emulators", strings.Join(set, " "))
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
		s.logger.Warn("Firebase Authentication does not answer; until it does, nobody can be let in with an account", "err", errors.Unwrap(err))
	case err != nil:
		return fmt.Errorf("--auth-firebase: %w", err)
	}
	s.tokens = access.ByIssuer(s.secret, map[string]access.TokenVerifier{accounts.Issuer(): accounts})
	return nil
}

// openAccounts opens the accounts of the project that is meant, and does not ask for any.
func (c Config) openAccounts(ctx context.Context, signIn *web.SignIn, logger *slog.Logger) (*firebaseauth.Verifier, error) {
	project := c.firebaseProject()
	switch {
	case signIn != nil && project == "":
		project = signIn.Project
	case signIn != nil && project != signIn.Project:
		return nil, fmt.Errorf("--firebase-web-config is of the project %s, the server's is %s: give that of one project", signIn.Project, project)
	case project == "":
		return nil, errors.New("--auth-firebase: which project? Give --firebase-project")
	}
	accounts, err := firebaseauth.Open(ctx, firebaseauth.Config{Project: project, Logger: logger})
	if err != nil {
		return nil, fmt.Errorf("--auth-firebase: the accounts cannot be asked: name the key file of a service account in GOOGLE_APPLICATION_CREDENTIALS: %w", err)
	}
	return accounts, nil
}

// firebaseProject is the project that the server is told, empty when it is not.
func (c Config) firebaseProject() string {
	return cmp.Or(c.FirebaseProject, os.Getenv("GOOGLE_CLOUD_PROJECT"))
}
