package doctor

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"siaran/egress"
)

const (
	// A viewer's media takes no file, but an open page and a relay over TCP take one each.
	filesPerViewer = 2
	filesBesides   = 512 // broadcasters, listing, API

	memoryPerViewer = 64 << 10 // bytes, page included; measured 32 to 55 KB
	memoryBesides   = 100 << 20

	someViewers = 100 // from so many on, small buffers are felt
)

// checkFiles compares the limit of open files with the viewers that are allowed.
func checkFiles(limit uint64, known bool, viewers, broadcasts int) Check {
	const name = "files"
	if !known {
		return skip(name, "on %s the limit of open files is not looked at.", runtime.GOOS)
	}
	need := uint64(viewers*filesPerViewer + broadcasts*2 + filesBesides)
	if limit >= need {
		return ok(name, "%d files may be open; %d viewers need at most %d.", limit, viewers, need)
	}
	fits := 0
	if besides := uint64(broadcasts*2 + filesBesides); limit > besides {
		fits = int((limit - besides) / filesPerViewer)
	}
	message := fmt.Sprintf("%d files may be open, which is enough for %d viewers when all of them keep a page open and come through the relay over TCP; --max-viewers is %d.", limit, fits, viewers)
	remedy := fmt.Sprintf("Raise the limit (LimitNOFILE=%d in the unit, ulimit -n %d in a shell), or lower --max-viewers.", need, need)
	if limit < filesBesides {
		return fail(name, message, remedy)
	}
	return warn(name, message, remedy)
}

// checkSystem tells what the kernel gives the media port.
func checkSystem(y egress.System, viewers int) []Check {
	return []Check{checkBuffers(y, viewers), checkGSO(y)}
}

func checkBuffers(y egress.System, viewers int) Check {
	const name = "socket-buffers"
	if y.ReceiveBuffer == 0 || y.SendBuffer == 0 {
		return skip(name, "on %s the media port's buffers are not looked at.", runtime.GOOS)
	}
	var low []string
	if y.ReceiveBuffer < y.WantedBuffer {
		low = append(low, "net.core.rmem_max")
	}
	if y.SendBuffer < y.WantedBuffer {
		low = append(low, "net.core.wmem_max")
	}
	have := fmt.Sprintf("the media port may buffer %d KB of what comes and %d KB of what goes", y.ReceiveBuffer>>10, y.SendBuffer>>10)
	switch {
	case len(low) == 0:
		return ok(name, "%s, as it asks for.", have)
	case viewers < someViewers:
		return ok(name, "%s, of %d KB that it asks for; enough for %d viewers.", have, y.WantedBuffer>>10, viewers)
	}
	return warn(name, fmt.Sprintf("%s, of %d KB that it asks for: with many viewers packets are lost when frames are large.", have, y.WantedBuffer>>10),
		fmt.Sprintf("sysctl -w %s, and put it into /etc/sysctl.d.", strings.Join(settings(low, 2*y.WantedBuffer), " ")))
}

func settings(names []string, value int) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = fmt.Sprintf("%s=%d", name, value)
	}
	return list
}

func checkGSO(y egress.System) Check {
	if y.GSO {
		return ok("gso", "the kernel sends runs of packets in one go (UDP GSO).")
	}
	return warn("gso", "the kernel cannot send runs of packets in one go (UDP GSO, Linux 4.18): each packet costs several times as much.",
		"Nothing has to be done for few viewers; for many use a newer Linux.")
}

// checkMemory compares what the machine, or the container, has with what the viewers take.
func checkMemory(limit uint64, known bool, viewers int) Check {
	const name = "memory"
	if !known {
		return skip(name, "on %s the memory is not looked at.", runtime.GOOS)
	}
	need := uint64(viewers)*memoryPerViewer + memoryBesides
	if limit >= need {
		return ok(name, "%d MB are there; %d viewers take about %d MB.", limit>>20, viewers, need>>20)
	}
	return warn(name, fmt.Sprintf("%d MB are there, and %d viewers may take %d MB.", limit>>20, viewers, need>>20), "Give the machine or the container more memory, or lower --max-viewers.")
}

// checkProblems is what the configuration's own check says, one line each.
func checkProblems(err error) []Check {
	if err == nil {
		return []Check{ok("config", "the configuration makes sense.")}
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
		list = append(list, fail("config", e.Error()+".", "Correct it; the server does not start like this."))
	}
	return list
}
