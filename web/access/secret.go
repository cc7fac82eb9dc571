package access

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"

	"github.com/golang-jwt/jwt/v5"

	"siaran/internal/durable"
	"siaran/internal/secretfile"
)

const (
	secretFile = "secret.key"
	secretSize = 32 // bytes; what HS256 takes in full (RFC 7518 section 3.2)
)

// Secret signs and checks the tokens of one server, or of several that share it. Its methods may be called from any
// goroutine.
type Secret struct {
	keys   atomic.Pointer[keys]
	shared bool
	dir    string // the data folder
}

type keys struct {
	first    []byte
	accepted jwt.VerificationKeySet // first, and those from before a change
}

func newSecret(dir string, key []byte, others ...[]byte) *Secret {
	k := &keys{first: key, accepted: jwt.VerificationKeySet{Keys: []jwt.VerificationKey{key}}}
	for _, other := range others {
		k.accepted.Keys = append(k.accepted.Keys, other)
	}
	s := &Secret{dir: dir}
	s.keys.Store(k)
	return s
}

// Become makes s sign and check tokens as other does. It reports whether that is a change. What has been derived from s
// stays as it is.
func (s *Secret) Become(other *Secret) (changed bool) {
	now := other.keys.Load()
	return !reflect.DeepEqual(s.keys.Swap(now), now)
}

func (s *Secret) key() []byte { return s.keys.Load().first }

// Shared reports whether other servers have the secret too.
func (s *Secret) Shared() bool { return s.shared }

// OpenShared reads a secret that servers share from the first of some files. Tokens that were signed with that of
// another of the files are accepted too, so that a secret can be changed while the servers run. A file holds 32 bytes,
// or a line with them in base64 or hexadecimal. What is kept beside the secret is in dir, the data folder.
func OpenShared(dir string, files []string) (*Secret, error) {
	if err := makeFolder(dir); err != nil {
		return nil, fmt.Errorf("cannot make the data folder: %w", err)
	}
	var keys [][]byte
	for _, path := range files {
		key, err := readShared(path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("no file with a secret is given")
	}
	s := newSecret(dir, keys[0], keys[1:]...)
	s.shared = true
	return s, nil
}

const maxSharedFile = 256 // bytes

func readShared(path string) ([]byte, error) {
	text, err := secretfile.Read(path, maxSharedFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read the shared secret: %w", err)
	}
	key, ok := parseShared(text)
	if !ok {
		return nil, fmt.Errorf("%s must hold 32 bytes, such as a copy of another server's %s, or a line with them in "+
			"base64 or hexadecimal: make one with openssl rand -base64 32", path, secretFile)
	}
	return key, nil
}

func parseShared(text []byte) ([]byte, bool) {
	if len(text) == secretSize {
		return text, true
	}
	line := strings.TrimSpace(string(text))
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if key, err := decode(line); err == nil && len(key) == secretSize {
			return key, true
		}
	}
	return nil, false
}

// String hides the key from logs.
func (s *Secret) String() string { return "access.Secret" }

// GoString hides the key from %#v.
func (s *Secret) GoString() string { return s.String() }

// OpenSecret reads the secret in the data folder. If there is none, it makes the folder and a new secret, readable by
// its owner alone, and returns true for created. Two processes that start at once get the same secret. A secret that it
// has returned survives a loss of power.
func OpenSecret(dir string) (secret *Secret, created bool, err error) {
	path := filepath.Join(dir, secretFile)
	secret, err = readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, false, err
	}
	if err := makeFolder(dir); err != nil {
		return nil, false, fmt.Errorf("cannot make the data folder: %w", err)
	}
	switch err := createSecret(dir, path); {
	case errors.Is(err, fs.ErrExist): // another process was faster
	case err != nil:
		return nil, false, fmt.Errorf("cannot write the secret into the data folder: %w", err)
	default:
		created = true
	}
	secret, err = readSecret(path)
	return secret, created, err
}

// ReadSecret reads the secret in the data folder again. It fails if there is none.
func ReadSecret(dir string) (*Secret, error) { return readSecret(filepath.Join(dir, secretFile)) }

// makeFolder also writes the folder's own name to disk, if its parent can be read.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	_ = durable.SyncFolder(filepath.Dir(filepath.Clean(dir)))
	return nil
}

func readSecret(path string) (*Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read the secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file: move it away, and a new secret will be made", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 on it, or remove it to get a new "+
			"secret, which voids all tokens", path, mode)
	}
	if info.Size() != secretSize {
		return nil, fmt.Errorf("%s has %d bytes and should have %d: restore it, or remove it to get a new secret, "+
			"which voids all tokens", path, info.Size(), secretSize)
	}
	key := make([]byte, secretSize)
	if _, err := f.ReadAt(key, 0); err != nil {
		return nil, fmt.Errorf("cannot read the secret: %w", err)
	}
	return newSecret(filepath.Dir(path), key), nil
}

// createSecret writes a whole secret to path or nothing. It does not replace one: then it returns fs.ErrExist.
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
	if err = os.Link(f.Name(), path); err == nil {
		return durable.SyncFolder(dir)
	} else if errors.Is(err, fs.ErrExist) {
		return err
	}
	// The file system has no hard links. This is the best that can be done there.
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return durable.SyncFolder(dir)
}
