//go:build unix

package emulator

import (
	"os"
	"syscall"
)

var stopSignal, continueSignal os.Signal = syscall.SIGSTOP, syscall.SIGCONT

func running(pid int) bool { return syscall.Kill(pid, 0) == nil }
