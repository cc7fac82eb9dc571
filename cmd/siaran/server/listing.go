package server

import (
	"context"
	"fmt"
	"path/filepath"

	"siaran/listing/firestore"
	"siaran/listing/sqlite"
)

// ListingPlace says where the list of live streams and their viewers is stored.
type ListingPlace struct {
	Listing         string `default:"sqlite" enum:"sqlite,firestore"`
	FirebaseProject string `name:"firebase-project" env:"SIARAN_FIREBASE_PROJECT,FIREBASE_PROJECT" placeholder:"ID"`
}

// ListingConfig says where the listing is stored, and how much of it.
type ListingConfig struct {
	ListingPlace
	Presence string `default:"documents" enum:"documents,counts,off"`
}

func (c ListingConfig) check() error {
	if c.Listing == "sqlite" && c.Presence != "documents" && c.Presence != "" {
		return fmt.Errorf("--presence %s: this setting is only for --listing firestore; with sqlite, viewers cost nothing",
			c.Presence)
	}
	return nil
}

// openListing opens the listing. The server is ready once it has read what is live.
func (s *server) openListing(ctx context.Context) error {
	if s.cfg.Listing != "firestore" {
		db, err := sqlite.Open(ctx, filepath.Join(s.cfg.Data, ListingFile))
		if err != nil {
			return err
		}
		s.listing = db
		s.closers = append(s.closers, db.Close)
		return nil
	}
	cfg := firestore.Config{Presence: firestore.Presence(s.cfg.Presence), Logger: s.logger}
	if s.secret.Shared() {
		cfg.Publisher = s.secret.Publisher
	}
	db, err := s.cfg.OpenFirestore(ctx, cfg)
	if err != nil {
		return err
	}
	s.listing, s.neighbours, s.listingDoubt = db, db, db.Ready
	s.listingReady = func(ctx context.Context) error {
		if db.Synced() {
			return nil
		}
		return db.Ready(ctx)
	}
	s.closers = append(s.closers, db.Close)
	return nil
}

// OpenFirestore opens the project's database. Google's library finds the credentials by itself.
func (c Config) OpenFirestore(ctx context.Context, cfg firestore.Config) (*firestore.Listing, error) {
	cfg.Project = c.firebaseProject()
	db, err := firestore.Open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("--listing firestore: %w", err)
	}
	return db, nil
}
