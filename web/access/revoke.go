package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"siaran/internal/durable"
)

// generationFile, in the data folder, counts how often the tokens for all streams have been revoked. Tokens of one
// stream have their count in the listing.
const generationFile = "tokens.generation"

const maxGenerationFile = 32 // bytes

// RevokeAll revokes all existing tokens for AllStreams, and returns their new generation. A server that runs on the
// same folder refuses them from then on. Tokens for one stream and accounts stay valid.
func (s *Secret) RevokeAll() (generation int, err error) {
	now, err := s.generation()
	if err != nil {
		return 0, err
	}
	return now + 1, s.storeGeneration(now + 1)
}

// TokenGeneration is the generation of tokens for all streams that are accepted here.
func (s *Secret) TokenGeneration() (int, error) { return s.generation() }

// generation reads the file at each use of such a token, so that a running server sees a change at once. There are few.
func (s *Secret) generation() (int, error) {
	path := filepath.Join(s.dir, generationFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot read which tokens have been revoked: %w", err)
	}
	defer f.Close() // was opened for reading
	text := make([]byte, maxGenerationFile)
	n, err := f.Read(text)
	if err != nil {
		return 0, fmt.Errorf("cannot read which tokens have been revoked: %s: %w", path, err)
	}
	generation, err := strconv.ParseUint(strings.TrimSpace(string(text[:n])), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s is damaged: restore it, or remove it together with %s, which voids all tokens",
			path, secretFile)
	}
	return int(generation), nil
}

// storeGeneration replaces the file as a whole. When it returns, the new one survives a loss of power.
func (s *Secret) storeGeneration(generation int) error {
	f, err := os.CreateTemp(s.dir, ".tokens-*") // mode 0600
	if err != nil {
		return fmt.Errorf("cannot revoke tokens: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintln(f, generation)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.dir, generationFile))
	}
	if err == nil {
		err = durable.SyncFolder(s.dir)
	}
	if err != nil {
		return fmt.Errorf("cannot revoke tokens: %w", err)
	}
	return nil
}
