//go:build unix

package load

import (
	"syscall"
	"time"
)

// Used is the processor time that this process has used; 0 where the system does not tell.
func Used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
