//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

func inUse(err error) bool        { return errors.Is(err, syscall.EADDRINUSE) }
func notPermitted(err error) bool { return errors.Is(err, syscall.EACCES) }

// lockData keeps a second server out of the data folder. The kernel lets go of the lock with the process.
func lockData(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "siaran.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--data %s: the folder cannot be written: allow this user to, or choose another with --data: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("--data %s: another server uses the folder: stop it, or choose another with --data", dir), f.Close())
	}
	return f, nil
}
