//go:build unix

package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

func inUse(err error) bool        { return errors.Is(err, syscall.EADDRINUSE) }
func notPermitted(err error) bool { return errors.Is(err, syscall.EACCES) }

// lockData keeps a second server out of the data folder. The kernel releases the lock when the process ends.
func lockData(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "siaran.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf(
			"--data %s: the folder is not writable: give this user permission, or choose another with --data: %w", dir, err,
		)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(
			fmt.Errorf("--data %s: another server uses the folder: stop it, or choose another with --data", dir),
			f.Close(),
		)
	}
	return f, nil
}
