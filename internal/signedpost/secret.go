package signedpost

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"siaran/internal/secretfile"
)

const (
	secretPrefix   = "whsec_"
	leastSecret    = 24 // bytes, as are the next two
	mostSecret     = 64
	maxSecretFile  = 4096
	mostSecrets    = 4
	makeSecretHint = `make one with: echo "whsec_$(openssl rand -base64 32)"`
)

// Secrets sign requests. With several, each request carries a signature of each, so that a receiver can change from one
// to the next while both are in the file.
type Secrets struct{ keys [][]byte }

// String hides the keys from logs.
func (Secrets) String() string { return "signedpost.Secrets" }

// GoString hides the keys from %#v.
func (s Secrets) GoString() string { return s.String() }

// ParseSecrets reads secrets, one a line: base64, with or without "whsec_" before it.
func ParseSecrets(text string) (Secrets, error) {
	var s Secrets
	for word := range strings.FieldsSeq(text) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(word, secretPrefix))
		switch {
		case err != nil:
			return Secrets{}, errors.New("a secret must be base64, with whsec_ before it or without; " + makeSecretHint)
		case len(key) < leastSecret || len(key) > mostSecret:
			return Secrets{}, fmt.Errorf("a secret must have %d to %d bytes, and this one has %d; %s",
				leastSecret, mostSecret, len(key), makeSecretHint)
		case len(s.keys) == mostSecrets:
			return Secrets{}, fmt.Errorf("there are more than %d secrets; remove those that no receiver needs", mostSecrets)
		}
		s.keys = append(s.keys, key)
	}
	if len(s.keys) == 0 {
		return Secrets{}, errors.New("there is no secret; " + makeSecretHint)
	}
	return s, nil
}

// OpenSecrets is ParseSecrets for a file, which others must not be able to read.
func OpenSecrets(path string) (Secrets, error) {
	text, err := secretfile.Read(path, maxSecretFile)
	if err != nil {
		return Secrets{}, err
	}
	s, err := ParseSecrets(string(text))
	if err != nil {
		return Secrets{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// sign returns the value of webhook-signature.
func (s Secrets) sign(id string, at time.Time, body []byte) string {
	signatures := make([]string, len(s.keys))
	for i, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}
