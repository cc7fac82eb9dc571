package doctor

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"siaran/mediaport"
)

const (
	// A viewer's media needs no file, but an open page and a relay over TCP need one each.
	filesPerViewer = 2
	filesBase      = 512 // broadcasters, listing, API

	memoryPerViewer = 64 << 10 // bytes, page included; measured 32 to 55 KB
	memoryBase      = 100 << 20

	someViewers = 100 // with this many or more, small buffers lose packets
)

// checkFiles compares the limit on open files with --max-viewers.
func checkFiles(limit uint64, known bool, viewers, broadcasts int) Check {
	const name = "files"
	if !known {
		return skip(name, "the limit on open files is not checked on %s.", runtime.GOOS)
	}
	need := uint64(viewers*filesPerViewer + broadcasts*2 + filesBase)
	if limit >= need {
		return ok(name, "%d files may be open; %d viewers need at most %d.", limit, viewers, need)
	}
	fits := 0
	if base := uint64(broadcasts*2 + filesBase); limit > base {
		fits = int((limit - base) / filesPerViewer)
	}
	message := fmt.Sprintf("%d files may be open, which is enough for %d viewers if all of them keep a page open and "+
		"use the relay over TCP; --max-viewers is %d.", limit, fits, viewers)
	remedy := fmt.Sprintf("Raise the limit (LimitNOFILE=%d in the unit, ulimit -n %d in a shell), or lower "+
		"--max-viewers.", need, need)
	if limit < filesBase {
		return fail(name, message, remedy)
	}
	return warn(name, message, remedy)
}

// checkSystem reports what the kernel gives the media port.
func checkSystem(y mediaport.System, viewers int) []Check {
	return []Check{checkBuffers(y, viewers), checkGSO(y)}
}

func checkBuffers(y mediaport.System, viewers int) Check {
	const name = "socket-buffers"
	if y.ReceiveBuffer == 0 || y.SendBuffer == 0 {
		return skip(name, "the media port's buffers are not checked on %s.", runtime.GOOS)
	}
	var low []string
	if y.ReceiveBuffer < y.WantedBuffer {
		low = append(low, "net.core.rmem_max")
	}
	if y.SendBuffer < y.WantedBuffer {
		low = append(low, "net.core.wmem_max")
	}
	have := fmt.Sprintf("the media port has a receive buffer of %d KB and a send buffer of %d KB", y.ReceiveBuffer>>10,
		y.SendBuffer>>10)
	switch {
	case len(low) == 0:
		return ok(name, "%s, as it asked for.", have)
	case viewers < someViewers:
		return ok(name, "%s; it asked for %d KB. That is enough for %d viewers.", have, y.WantedBuffer>>10, viewers)
	}
	return warn(name, fmt.Sprintf("%s; it asked for %d KB. With many viewers, large frames lose packets.", have,
		y.WantedBuffer>>10),
		fmt.Sprintf("Run sysctl -w %s, and add it to /etc/sysctl.d.", strings.Join(settings(low, 2*y.WantedBuffer), " ")))
}

func settings(names []string, value int) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = fmt.Sprintf("%s=%d", name, value)
	}
	return list
}

func checkGSO(y mediaport.System) Check {
	if y.GSO {
		return ok("gso", "the kernel sends many packets in one system call (UDP GSO).")
	}
	return warn("gso", "the kernel cannot send many packets in one system call (UDP GSO, Linux 4.18): each packet "+
		"costs several times as much.",
		"For few viewers this does not matter; for many, use a newer Linux.")
}

// checkMemory compares the memory of the machine or container with what --max-viewers need.
func checkMemory(limit uint64, known bool, viewers int) Check {
	const name = "memory"
	if !known {
		return skip(name, "memory is not checked on %s.", runtime.GOOS)
	}
	need := uint64(viewers)*memoryPerViewer + memoryBase
	if limit >= need {
		return ok(name, "%d MB are available; %d viewers need about %d MB.", limit>>20, viewers, need>>20)
	}
	return warn(name, fmt.Sprintf("%d MB are available, and %d viewers may need %d MB.", limit>>20, viewers, need>>20),
		"Give the machine or the container more memory, or lower --max-viewers.")
}

// checkProblems reports what the configuration's own check found, one line each.
func checkProblems(err error) []Check {
	if err == nil {
		return []Check{ok("config", "the configuration is valid.")}
	}
	errs := []error{err}
	if joined, is := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); is {
		errs = joined.Unwrap()
	}
	var list []Check
	for _, e := range errs {
		list = append(list, fail("config", e.Error()+".", "Correct it: the server does not start with this."))
	}
	return list
}
