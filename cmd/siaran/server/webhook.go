package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"siaran/internal/signedpost"
	"siaran/internal/webhook"
	"siaran/web"
	"siaran/web/admission"
)

const (
	webhookFile   = "webhooks.db"
	webhookSecret = "SIARAN_WEBHOOK_SECRET" // the secret itself; --webhook-secret-file names a file
	mostWebhooks  = 8
	webhookAgent  = "siaran"
	comingBack    = 30 * time.Second // for broadcasters to find the server again after a restart
)

// WebhookConfig says who is told of what happens, over HTTP.
type WebhookConfig struct {
	Webhook           []string `placeholder:"URL"`
	WebhookSecretFile string   `name:"webhook-secret-file" placeholder:"FILE"`
	AuthWebhook       string   `name:"auth-webhook" placeholder:"URL"`
	AuthWebhookFail   string   `name:"auth-webhook-fail" default:"closed" enum:"open,closed"`
}

func (c WebhookConfig) check() error {
	var wrong []error
	if len(c.Webhook) > mostWebhooks {
		wrong = append(wrong, fmt.Errorf("--webhook: there are %d addresses: give at most %d", len(c.Webhook), mostWebhooks))
	}
	seen := make(map[string]bool)
	for _, text := range c.Webhook {
		if _, err := signedpost.ParseURL(text); err != nil {
			wrong = append(wrong, fmt.Errorf("--webhook: %w", err))
		}
		if seen[text] {
			wrong = append(wrong, errors.New("--webhook: an address is given twice"))
		}
		seen[text] = true
	}
	flag := "--webhook"
	if c.AuthWebhook != "" {
		flag = "--auth-webhook"
		if _, err := signedpost.ParseURL(c.AuthWebhook); err != nil {
			wrong = append(wrong, fmt.Errorf("--auth-webhook: %w", err))
		}
	}
	if len(c.Webhook)+len(c.AuthWebhook) > 0 && c.WebhookSecretFile == "" && os.Getenv(webhookSecret) == "" {
		wrong = append(wrong, fmt.Errorf("%s needs a secret to sign with: give --webhook-secret-file, or %s in the "+
			"environment", flag, webhookSecret))
	}
	return errors.Join(wrong...)
}

// openSecrets reads the secrets that requests are signed with.
func (c WebhookConfig) openSecrets() (secrets signedpost.Secrets, err error) {
	if c.WebhookSecretFile != "" {
		if secrets, err = signedpost.OpenSecrets(c.WebhookSecretFile); err != nil {
			return secrets, fmt.Errorf("--webhook-secret-file: %w", err)
		}
		return secrets, nil
	}
	if secrets, err = signedpost.ParseSecrets(os.Getenv(webhookSecret)); err != nil {
		return secrets, fmt.Errorf("%s: %w", webhookSecret, err)
	}
	return secrets, nil
}

// openAdmission prepares to ask the site who may publish and watch, if there is one.
func (s *server) openAdmission() (web.Admission, error) {
	if s.cfg.AuthWebhook == "" {
		return nil, nil
	}
	secrets, err := s.cfg.openSecrets()
	if err != nil {
		return nil, err
	}
	u, err := signedpost.ParseURL(s.cfg.AuthWebhook)
	if err != nil {
		return nil, fmt.Errorf("--auth-webhook: %w", err)
	}
	hook := admission.New(admission.Config{
		URL: u, Secrets: secrets, UserAgent: webhookAgent, Logger: s.logger.With("part", "auth-webhook"),
	})
	s.admission = hook
	s.closers = append(s.closers, func() error { hook.Close(); return nil })
	return hook, nil
}

// openWebhooks starts to tell receivers. It stops after everything that it tells of.
func (s *server) openWebhooks(ctx context.Context) error {
	if len(s.cfg.Webhook) == 0 {
		return nil
	}
	secrets, err := s.cfg.openSecrets()
	if err != nil {
		return err
	}
	var urls []*url.URL
	for _, text := range s.cfg.Webhook {
		u, err := signedpost.ParseURL(text)
		if err != nil {
			return fmt.Errorf("--webhook: %w", err)
		}
		urls = append(urls, u)
	}
	s.webhooks, err = webhook.Open(ctx, webhook.Config{
		Hub: s.hub, Path: filepath.Join(s.cfg.Data, webhookFile), URLs: urls, Secrets: secrets, Node: s.cfg.Node,
		Return: s.cfg.Grace + comingBack, UserAgent: webhookAgent, Logger: s.logger.With("part", "webhook"),
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() error {
		s.hub.Close()
		return s.webhooks.Close()
	})
	return nil
}
