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

// checkData looks at the data folder, and leaves it as it was.
func checkData(dir string, r running) []Check {
	const name = "data"
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Check{checkParent(dir)}
	case err != nil:
		return []Check{fail(name, fmt.Sprintf("%s cannot be looked at: %v.", dir, errors.Unwrap(err)), "Allow this user to, or choose another folder with --data.")}
	case !info.IsDir():
		return []Check{fail(name, dir+" is no folder.", "Choose another with --data.")}
	}
	if err := tryFile(dir); err != nil {
		return []Check{fail(name, fmt.Sprintf("%s cannot be written by this user: %v.", dir, err), "Give it to the user that the server runs as (chown), or choose another folder with --data.")}
	}
	var list []Check
	switch {
	case r.locked && !r.answers:
		list = append(list, warn(name, dir+" is in use by a server that does not answer at --listen.", "If this server shall start beside it, choose another folder with --data; else stop the other, or give doctor the settings that it runs with."))
	case r.locked:
		list = append(list, ok(name, "%s is in use by the server that runs.", dir))
	default:
		list = append(list, ok(name, "%s can be written.", dir))
	}
	if key, err := os.Stat(filepath.Join(dir, secretFile)); err == nil && key.Mode().Perm()&0o077 != 0 {
		list = append(list, warn("secret", fmt.Sprintf("%s can be read by other users (mode %o): it signs all tokens.", secretFile, key.Mode().Perm()),
			"chmod 600 "+filepath.Join(dir, secretFile)))
	}
	if free, known := freeSpace(dir); known && free < someSpace {
		list = append(list, warn("disk", fmt.Sprintf("%d MB are free on the disk of %s.", free>>20, dir), "Make room: a full disk stops the listing."))
	}
	return list
}

// checkParent looks for the folder that a new one would be made in.
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
		return fail("data", fmt.Sprintf("%s is not there and cannot be made: %v.", dir, err), "Make it and give it to the user that the server runs as, or choose another folder with --data.")
	}
	return ok("data", "%s is not there yet; it will be made.", dir)
}

// tryFile makes a file and takes it away.
func tryFile(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return errors.Unwrap(err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
