package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	secretFile = "secret.key"
	lockFile   = "siaran.lock"
	someSpace  = 200 << 20 // bytes
)

// checkData checks the data folder, and leaves it as it was.
func checkData(dir string, r running) []Check {
	const name = "data"
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Check{checkParent(dir)}
	case err != nil:
		return []Check{fail(name, fmt.Sprintf("%s cannot be read: %v.", dir, errors.Unwrap(err)),
			"Give this user access, or choose another folder with --data.")}
	case !info.IsDir():
		return []Check{fail(name, dir+" is not a folder.", "Choose another with --data.")}
	}
	if err := tryFile(dir); err != nil {
		return []Check{fail(name, fmt.Sprintf("%s cannot be written by this user: %v.", dir, err),
			"Make the user that the server runs as its owner (chown), or choose another folder with --data.")}
	}
	var list []Check
	switch {
	case r.locked && !r.answers:
		list = append(list, warn(name, dir+" is in use by a server that does not answer at --listen.",
			"To run a second server, choose another folder with --data. Otherwise stop the first, or give doctor the "+
				"settings that it runs with."))
	case r.locked:
		list = append(list, ok(name, "%s is in use by the running server.", dir))
	default:
		list = append(list, ok(name, "%s can be written.", dir))
	}
	if key, err := os.Stat(filepath.Join(dir, secretFile)); err == nil && key.Mode().Perm()&0o077 != 0 {
		list = append(list, warn("secret", fmt.Sprintf("%s can be read by other users (mode %o). It signs all tokens.",
			secretFile, key.Mode().Perm()),
			"chmod 600 "+filepath.Join(dir, secretFile)))
	}
	if free, known := freeSpace(dir); known && free < someSpace {
		list = append(list, warn("disk", fmt.Sprintf("%d MB are free on the disk of %s.", free>>20, dir),
			"Free some space: the listing stops working on a full disk."))
	}
	return list
}

// checkParent checks the folder in which the data folder would be created.
func checkParent(dir string) Check {
	above, err := filepath.Abs(dir)
	if err == nil {
		for there := false; !there && above != filepath.Dir(above); {
			above = filepath.Dir(above)
			_, missing := os.Stat(above)
			there = missing == nil
		}
		err = tryFile(above)
	}
	if err != nil {
		return fail("data", fmt.Sprintf("%s does not exist and cannot be created: %v.", dir, err),
			"Create it for the user that the server runs as, or choose another folder with --data.")
	}
	return ok("data", "%s does not exist yet; it will be created.", dir)
}

// tryFile creates a file and removes it.
func tryFile(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return errors.Unwrap(err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
