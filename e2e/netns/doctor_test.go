package netns

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"siaran/e2e/harness"
	"siaran/e2e/harness/netlab"
	"siaran/internal/doctor"
	"siaran/internal/testca"
)

// runDoctor runs the command on a machine of a lab, with its exit code.
func runDoctor(h *netlab.Host, s *harness.Process, url string, environment ...string) (*doctor.Report, int) {
	h.T.Helper()
	self := harness.Command(h.T)
	cmd := h.Command(self, "doctor", "--url", url, "--json")
	cmd.Env = append(append(os.Environ(), "SIARAN_TOKEN="+s.Admin), environment...)
	var out bytes.Buffer
	cmd.Stdout = &out
	code, exit := 0, (*exec.ExitError)(nil)
	if err := cmd.Run(); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		h.T.Fatal(err)
	}
	var r doctor.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		h.T.Fatalf("%v in %s", err, out.String())
	}
	for _, c := range r.Checks {
		h.T.Log(c)
	}
	return &r, code
}

// TestDoctorInNetworks has the doctor look from networks in which something is in the way.
func TestDoctorInNetworks(t *testing.T) {
	t.Parallel()
	netlab.New(t) // or all is skipped
	t.Run("a firewall drops UDP", func(t *testing.T) {
		t.Parallel()
		l := netlab.New(t)
		server, office := l.Host("server"), l.Host("office")
		server.Connect("eth0", "203.0.113.1/24", office, "eth0", "203.0.113.2/24")
		office.Firewall(dropUDP)
		cert, key := testca.New(t).Issue(t, time.Now().Add(90*24*time.Hour), "203.0.113.1")
		file := harness.WriteFile(t, "cert.pem", string(cert))
		s := server.Serve("--listen=203.0.113.1:443", "--tls-cert="+file,
			"--tls-key="+harness.WriteFile(t, "key.pem", string(key)))
		r, code := runDoctor(office, s, "https://203.0.113.1", netlab.CertFileVariable+"="+file)
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
		harness.WantFinding(t, r, "stream", doctor.Warn, "over TCP")
		harness.WantFinding(t, r, "udp", doctor.Fail, "no route over UDP: 203.0.113.1:8189")
		harness.WantFinding(t, r, "turn-udp", doctor.Fail, "no route over UDP")
		harness.WantFinding(t, r, "turn-tcp", doctor.OK, "203.0.113.1:3478")
		harness.WantFinding(t, r, "turn-tls", doctor.OK, "203.0.113.1:443")
		harness.WantFinding(t, r, "ice-tcp", doctor.OK, "connected")
	})
	t.Run("1:1 NAT without --public-ip", func(t *testing.T) {
		t.Parallel()
		server, outside := natted(netlab.New(t))
		r, code := runDoctor(outside, server.Serve(), "http://203.0.113.1:8080")
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
		harness.WantFinding(t, r, "udp", doctor.Fail, "private addresses only (10.0.0.2:8189)")
		harness.WantFinding(t, r, "udp", doctor.Fail, "--public-ip 203.0.113.1")
		harness.WantFinding(t, r, "turn-udp", doctor.OK, "media came through the relay 203.0.113.1:3478")
	})
	t.Run("IPv6 only", func(t *testing.T) {
		t.Parallel()
		l := netlab.New(t)
		server, client := l.Host("server"), l.Host("client")
		server.Connect("eth0", "2001:db8:1::1/64", client, "eth0", "2001:db8:1::2/64")
		r, code := runDoctor(client, server.Serve("--listen=[2001:db8:1::1]:8080"), "http://[2001:db8:1::1]:8080")
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
		harness.WantFinding(t, r, "udp", doctor.OK, "[2001:db8:1::1]:8189")
		harness.WantFinding(t, r, "turn-udp", doctor.OK, "[2001:db8:1::1]:3478")
		harness.WantFinding(t, r, "turn-tcp", doctor.OK, "[2001:db8:1::1]:3478")
		harness.WantFinding(t, r, "ice-tcp", doctor.OK, "connected")
	})
	t.Run("a closed port", func(t *testing.T) {
		t.Parallel()
		l := netlab.New(t)
		server, client := l.Host("server"), l.Host("client")
		server.Connect("eth0", "203.0.113.1/24", client, "eth0", "203.0.113.2/24")
		server.Firewall(`
			table inet wall {
				chain in { type filter hook input priority filter; tcp dport 8080 drop; }
			}`)
		r, code := runDoctor(client, server.Serve("--listen=203.0.113.1:8080"), "http://203.0.113.1:8080")
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
		harness.WantFinding(t, r, "tcp", doctor.Fail, "a firewall drops it")
	})
}
