package access

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	secretFile = "secret.key"
	secretSize = 32 // bytes; what HS256 takes in full (RFC 7518 section 3.2)
)

// Secret signs and checks the tokens of one server. Its methods may be called from any goroutine.
type Secret struct {
	key []byte
}

// String hides the key from logs.
func (s *Secret) String() string { return "access.Secret" }

// GoString hides the key from %#v.
func (s *Secret) GoString() string { return s.String() }

// OpenSecret reads the secret in the data folder. When there is none it makes the folder
// and a fresh secret in it, readable by its owner alone; created tells so. Two processes
// that start at once end up with the same secret.
func OpenSecret(dir string) (secret *Secret, created bool, err error) {
	path := filepath.Join(dir, secretFile)
	secret, err = readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, false, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("the data folder cannot be made: %w", err)
	}
	switch err := createSecret(dir, path); {
	case errors.Is(err, fs.ErrExist): // another process was faster
	case err != nil:
		return nil, false, fmt.Errorf("the secret cannot be kept in the data folder: %w", err)
	default:
		created = true
	}
	secret, err = readSecret(path)
	return secret, created, err
}

func readSecret(path string) (*Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the secret cannot be read: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("the secret cannot be read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file: move it away, and a fresh secret is made", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 on it, or remove it for a fresh secret, which voids all tokens", path, mode)
	}
	if info.Size() != secretSize {
		return nil, fmt.Errorf("%s has %d bytes where %d are right: restore it, or remove it for a fresh secret, which voids all tokens", path, info.Size(), secretSize)
	}
	key := make([]byte, secretSize)
	if _, err := f.ReadAt(key, 0); err != nil {
		return nil, fmt.Errorf("the secret cannot be read: %w", err)
	}
	return &Secret{key: key}, nil
}

// createSecret puts a whole secret at path or nothing, and never replaces one: fs.ErrExist.
func createSecret(dir, path string) error {
	f, err := os.CreateTemp(dir, ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	key := make([]byte, secretSize)
	rand.Read(key) // never fails since Go 1.24
	_, err = f.Write(key)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Link(f.Name(), path); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// A file system without hard links: as good as it gets there.
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	return os.Rename(f.Name(), path)
}
