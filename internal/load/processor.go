package load

import (
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Processors is how many processors this process may use: those that Go uses, or the quota of its control group or of
// one above it (cgroup v2), if that is less.
func Processors() float64 {
	return min(float64(runtime.GOMAXPROCS(0)), quota("/sys/fs/cgroup", "/proc/self/cgroup"))
}

// unlimited stands for no quota.
const unlimited = 1 << 20

func quota(root, self string) float64 {
	group := "/"
	if text, err := os.ReadFile(self); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, found := strings.CutPrefix(strings.TrimSpace(line), "0::"); found {
				group = path.Clean("/" + name)
			}
		}
	}
	least := float64(unlimited)
	for ; ; group = path.Dir(group) {
		if text, err := os.ReadFile(filepath.Join(root, group, "cpu.max")); err == nil {
			least = min(least, quotaIn(string(text)))
		}
		if group == "/" {
			return least
		}
	}
}

// quotaIn reads cpu.max: the time in each period, or "max", and the period, both in microseconds.
func quotaIn(text string) float64 {
	time, period, _ := strings.Cut(strings.TrimSpace(text), " ")
	t, err := strconv.ParseUint(time, 10, 64)
	p, err2 := strconv.ParseUint(period, 10, 64)
	if err != nil || err2 != nil || t == 0 || p == 0 {
		return unlimited
	}
	return float64(t) / float64(p)
}
