package bench

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lookAt measures a process of this machine.
func lookAt(pid int) (usage, error) {
	u := usage{at: time.Now()}
	var ts unix.Timespec
	// clock_getcpuclockid(3): the CPU time of all threads of a process, in nanoseconds.
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return u, fmt.Errorf("--pid %d: there is no such process, or it may not be measured: %w", pid, err)
	}
	u.cpu = time.Duration(ts.Nano())
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	status, err := readStatus(filepath.Join(dir, "status"))
	if err != nil {
		return u, fmt.Errorf("--pid %d: %w", pid, err)
	}
	u.rss = status["VmRSS"] * 1024
	u.threads = int(status["Threads"])
	tasks, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		return u, fmt.Errorf("--pid %d: %w", pid, err)
	}
	u.switches = make(map[string]switches, len(tasks))
	for _, t := range tasks {
		s, err := readStatus(filepath.Join(dir, "task", t.Name(), "status"))
		if err == nil { // otherwise the thread has just ended
			u.switches[t.Name()] = switches{s["voluntary_ctxt_switches"], s["nonvoluntary_ctxt_switches"]}
		}
	}
	return u, nil
}

// readStatus returns the numbers in a file like /proc/self/status.
func readStatus(name string) (map[string]uint64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // was only read
	values := make(map[string]uint64)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, rest, _ := strings.Cut(lines.Text(), ":")
		if fields := strings.Fields(rest); len(fields) > 0 {
			if n, err := strconv.ParseUint(fields[0], 10, 64); err == nil {
				values[key] = n
			}
		}
	}
	return values, nil
}

// machineCPU returns the time that all CPUs of this machine have spent on the work of processes and the kernel.
func machineCPU() (time.Duration, bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	ticks := uint64(0)
	for i, field := range fields[1:9] {
		if i == 3 || i == 4 { // idle, and waiting for disks
			continue
		}
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100), true // USER_HZ is 100 wherever Go runs
}
