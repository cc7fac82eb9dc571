package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"siaran"
	"siaran/listing"
)

// ListingPlace says where it is kept what is live and who watches.
type ListingPlace struct {
	Listing         string `default:"sqlite" enum:"sqlite,firestore" help:"Where it is kept what is live and who watches: sqlite, a file in the data folder, or firestore, which several servers can share (default ${default})."`
	FirebaseProject string `name:"firebase-project" env:"SIARAN_FIREBASE_PROJECT,FIREBASE_PROJECT" placeholder:"ID" help:"Firebase project of the listing and of the accounts (default: the one of the credentials)."`
}

// ListingConfig says where and how much of it.
type ListingConfig struct {
	ListingPlace
	Presence string `default:"documents" enum:"documents,counts,off" help:"What Firestore is told of viewers: a document for each while watching, their number only, or nothing (default ${default})."`
}

func (c ListingConfig) check() error {
	if c.Listing == "sqlite" && c.Presence != "documents" && c.Presence != "" {
		return fmt.Errorf("--presence %s: this is for --listing firestore; in the file on this server viewers cost nothing", c.Presence)
	}
	return nil
}

// openListing opens what is kept; its reason for not being ready goes to those who ask.
func (s *server) openListing(ctx context.Context) error {
	if s.cfg.Listing != "firestore" {
		db, err := listing.OpenSQLite(ctx, filepath.Join(s.cfg.Data, listingFile))
		if err != nil {
			return err
		}
		s.listing = db
		s.closers = append(s.closers, db.Close)
		return nil
	}
	db, err := s.cfg.openFirestore(ctx, listing.FirestoreConfig{Presence: listing.Presence(s.cfg.Presence), Logger: s.logger})
	if err != nil {
		return err
	}
	s.listing, s.listingReady = db, db.Ready
	s.closers = append(s.closers, db.Close)
	return nil
}

// openFirestore opens the project's database. Google's library finds the credentials by itself.
func (c Config) openFirestore(ctx context.Context, cfg listing.FirestoreConfig) (*listing.Firestore, error) {
	cfg.Project = c.firebaseProject()
	db, err := listing.OpenFirestore(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("--listing firestore: %w", err)
	}
	return db, nil
}

// keyGeneration is which keys of a stream are good; those of a stream that nobody knows yet are the first.
func (t tokenCommand) keyGeneration(ctx context.Context, name siaran.StreamName) (int, error) {
	var db siaran.Listing
	var err error
	if t.Listing == "firestore" {
		db, err = Config{ListingConfig: ListingConfig{ListingPlace: t.ListingPlace}}.openFirestore(ctx, listing.FirestoreConfig{})
	} else {
		path := filepath.Join(t.Data, listingFile)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return 0, nil
		}
		db, err = listing.OpenSQLite(ctx, path)
	}
	if err != nil {
		return 0, err
	}
	defer db.Close() // was only read
	stream, err := db.Stream(ctx, name)
	if errors.Is(err, siaran.ErrUnknownStream) {
		return 0, nil
	}
	return stream.KeyGeneration, err
}
