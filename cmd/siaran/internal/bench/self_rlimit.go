//go:build linux || darwin

package bench

import (
	"syscall"
	"time"
)

// ownCPU is the time that this process has spent on CPUs.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// allowFiles raises how many files may be open to what is needed, beyond the hard limit where that is permitted, and tells what is allowed then.
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
