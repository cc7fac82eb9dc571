package emulator

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	startTime = 10 * time.Minute // takes ten seconds of a processor that others may want as well
	attempts  = 5                // with other ports, should one be taken between the look for it and the start
)

// keeper runs the emulator until its standard input ends. That happens when the test process ends, in whatever way. It
// needs no goroutine in the test.
const keeper = `
exec 4<&0 </dev/null
"$@" 3>&- 4<&- &
child=$!
echo $child >&3
exec 3>&-
(read -r end <&4; kill -9 $child) 2>/dev/null &
wait $child
`

// process is a running emulator.
type process struct {
	host string
	pid  int
	cmd  *exec.Cmd
	hold *os.File // the keeper's standard input
	log  string   // file
}

func start(jar string, port int, args []string) (*process, error) {
	fixed := port != 0
	var errs []error
	for range attempts {
		if !fixed {
			var err error
			if port, err = freePort(); err != nil {
				return nil, err
			}
		}
		p, err := launch(jar, port, args)
		if err == nil {
			return p, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("the Firestore emulator does not start: %w", errors.Join(errs...))
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func launch(jar string, port int, args []string) (_ *process, err error) {
	p := &process{host: "127.0.0.1:" + strconv.Itoa(port)}
	out, err := os.CreateTemp("", "firestore-emulator-*.log")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.log = out.Name()
	input, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer input.Close()
	p.hold = hold
	pids, pidEnd, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, hold.Close())
	}
	defer pids.Close()
	// The wrapper gcloud would leave its child running. The last options make it start faster and stay small.
	command := []string{"-c", keeper, "emulator",
		"java", "-Duser.language=en", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", jar, mainClass, "--host=127.0.0.1", "--port=" + strconv.Itoa(port)}
	p.cmd = exec.Command("sh", append(command, args...)...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = input, out, out
	p.cmd.ExtraFiles = []*os.File{pidEnd}
	err = p.cmd.Start()
	pidEnd.Close()
	if err != nil {
		return nil, errors.Join(err, hold.Close(), os.Remove(p.log))
	}
	if err := p.ready(pids); err != nil {
		said, _ := os.ReadFile(p.log)
		p.kill()
		return nil, fmt.Errorf("%w; it said:\n%s", err, said)
	}
	return p, nil
}

// ready waits until the emulator answers.
func (p *process) ready(pids io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(pids, 20))
	if err != nil {
		return err
	}
	if p.pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		return err
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		said, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		if !running(p.pid) {
			return errors.New("it has ended")
		}
		if !strings.Contains(string(said), "is now running") {
			continue
		}
		answer, err := client.Get("http://" + p.host)
		if err == nil {
			answer.Body.Close()
			return nil
		}
	}
	return fmt.Errorf("no answer within %v", startTime)
}

func (p *process) signal(s os.Signal) error {
	child, err := os.FindProcess(p.pid)
	if err != nil {
		return err
	}
	return child.Signal(s)
}

// kill ends the emulator and waits until it has ended.
func (p *process) kill() {
	p.hold.Close()
	p.cmd.Wait() // closing hold has told the keeper to end
	deadline := time.Now().Add(10 * time.Second)
	for p.pid != 0 && running(p.pid) && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	os.Remove(p.log)
}
