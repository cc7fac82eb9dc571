// Package durable makes what is done to files outlast a loss of power.
package durable

import (
	"errors"
	"os"
	"runtime"
)

// SyncFolder writes the names in a folder to disk: those of files that were made, linked or renamed there. Syncing a
// file itself does not do that (fsync(2)).
func SyncFolder(dir string) error {
	if runtime.GOOS == "windows" { // which has no such call, and syncs names by itself
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
