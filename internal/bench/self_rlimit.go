//go:build linux || darwin

package bench

import (
	"syscall"
	"time"
)

// ownCPU returns the CPU time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// allowFiles raises the number of files that may be open to what is needed, beyond the hard limit if that is permitted,
// and returns the resulting limit.
func allowFiles(need uint64) uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return need
	}
	if limit.Cur >= need {
		return limit.Cur
	}
	for _, l := range []syscall.Rlimit{{Cur: need, Max: max(limit.Max, need)}, {Cur: limit.Max, Max: limit.Max}} {
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) == nil {
			return l.Cur
		}
	}
	return limit.Cur
}
