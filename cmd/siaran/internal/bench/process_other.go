//go:build !linux

package bench

import "errors"

func lookAt(int) (usage, error) {
	return usage{}, errors.New("--pid: the server's process can be looked at on Linux only")
}
