package server

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// unknownMemory is assumed if the system does not report how much memory it has.
const unknownMemory = 4 << 30

const leastRingMemory = 16 << 20

// ringMemory is the default limit for all rings together: a quarter of the memory of the machine or of the container.
func ringMemory() int64 {
	all := int64(unknownMemory)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		all = memoryIn(text, all)
	}
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil { // "max" where there is no limit
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 {
			all = min(all, limit)
		}
	}
	return max(leastRingMemory, all/4)
}

// memoryIn returns the machine's memory in bytes according to /proc/meminfo, or otherwise if it is not there.
func memoryIn(meminfo []byte, otherwise int64) int64 {
	for s := bufio.NewScanner(bytes.NewReader(meminfo)); s.Scan(); {
		var kilobytes int64
		if n, _ := fmt.Sscanf(s.Text(), "MemTotal: %d kB", &kilobytes); n == 1 && kilobytes > 0 {
			return kilobytes << 10
		}
	}
	return otherwise
}
