//go:build !unix

package emulator

import "os"

var stopSignal, continueSignal os.Signal = os.Interrupt, os.Interrupt // do not exist here

func running(int) bool { return true }
