//go:build !unix

package server

import (
	"fmt"
	"os"
	"path/filepath"
)

func inUse(error) bool        { return false }
func notPermitted(error) bool { return false }

// lockData only checks that the folder is writable. It locks nothing.
func lockData(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "siaran.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf(
			"--data %s: the folder is not writable: give this user permission, or choose another with --data: %w", dir, err,
		)
	}
	return f, nil
}
