package doctor

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// openFiles returns how many files the server may open. The Go runtime raises the soft limit to the hard one.
func openFiles() (limit uint64, known bool) {
	var l unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
	return l.Max, err == nil
}

// memory returns what the machine has available, or what is left of the container's limit if that is less.
func memory() (bytes uint64, known bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	free, known := memoryIn(text)
	limit, err1 := numberIn("/sys/fs/cgroup/memory.max")
	used, err2 := numberIn("/sys/fs/cgroup/memory.current")
	if err1 == nil && err2 == nil && limit > used && limit-used < free {
		free = limit - used
	}
	return free, known
}

func memoryIn(meminfo []byte) (uint64, bool) {
	for s := bufio.NewScanner(bytes.NewReader(meminfo)); s.Scan(); {
		var kilobytes uint64
		if n, _ := fmt.Sscanf(s.Text(), "MemAvailable: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10, true
		}
	}
	return 0, false
}

func numberIn(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// freeSpace returns how many bytes this user may still write to the folder's disk.
func freeSpace(dir string) (uint64, bool) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}

// kernelClock reports whether the kernel's clock is synchronised, and by how much it may be wrong.
func kernelClock() (kept bool, maxError time.Duration, known bool) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return false, 0, false
	}
	return t.Status&unix.STA_UNSYNC == 0, time.Duration(t.Maxerror) * time.Microsecond, true
}
