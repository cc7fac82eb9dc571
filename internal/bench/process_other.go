//go:build !linux

package bench

import (
	"errors"
	"time"
)

func lookAt(int) (usage, error) {
	return usage{}, errors.New("--pid: the server's process can be measured on Linux only")
}

func machineCPU() (time.Duration, bool) { return 0, false }
