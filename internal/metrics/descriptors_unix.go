//go:build unix

package metrics

import (
	"os"
	"syscall"
)

// descriptors returns how many files are open and may be; false where the system does not tell.
func descriptors() (used, most int, ok bool) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0, 0, false
	}
	d, err := os.Open("/dev/fd")
	if err != nil {
		return 0, 0, false
	}
	defer d.Close() // it is only read
	names, err := d.Readdirnames(-1)
	if err != nil {
		return 0, 0, false
	}
	return len(names) - 1, int(min(limit.Cur, 1<<31-1)), true // without the one that lists them
}
