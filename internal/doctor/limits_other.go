//go:build !linux

package doctor

import "time"

func openFiles() (limit uint64, known bool)                        { return 0, false }
func memory() (bytes uint64, known bool)                           { return 0, false }
func freeSpace(string) (uint64, bool)                              { return 0, false }
func kernelClock() (kept bool, maxError time.Duration, known bool) { return false, 0, false }
