package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"siaran/cmd/siaran/internal/doctor"
	"siaran/cmd/siaran/internal/testca"
)

// doctor runs the command on a machine of a lab, with its exit code.
func (h *labHost) doctor(s *process, url string, environment ...string) (*doctor.Report, int) {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := h.command(self, "doctor", "--url", url, "--json")
	cmd.Env = append(append(os.Environ(), asCommand+"=1", "SIARAN_TOKEN="+s.Admin), environment...)
	var out bytes.Buffer
	cmd.Stdout = &out
	code, exit := 0, (*exec.ExitError)(nil)
	if err := cmd.Run(); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		h.t.Fatal(err)
	}
	var r doctor.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		h.t.Fatalf("%v in %s", err, out.String())
	}
	for _, c := range r.Checks {
		h.t.Log(c)
	}
	return &r, code
}

// TestDoctorInNetworks has the doctor look from networks in which something is in the way.
func TestDoctorInNetworks(t *testing.T) {
	newLab(t) // or all is skipped
	t.Run("a firewall drops UDP", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		server, office := l.host("server"), l.host("office")
		server.wire("eth0", "203.0.113.1/24", office, "eth0", "203.0.113.2/24")
		office.firewall(dropUDP)
		cert, key := testca.New(t).Issue(t, time.Now().Add(90*24*time.Hour), "203.0.113.1")
		file := writeFile(t, "cert.pem", string(cert))
		s := server.serve("--listen=203.0.113.1:443", "--tls-cert="+file, "--tls-key="+writeFile(t, "key.pem", string(key)))
		r, code := office.doctor(s, "https://203.0.113.1", insideCert+"="+file)
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
		wantFinding(t, r, "stream", doctor.Warn, "over TCP")
		wantFinding(t, r, "udp", doctor.Fail, "no route over UDP: 203.0.113.1:8189")
		wantFinding(t, r, "turn-udp", doctor.Fail, "no route over UDP")
		wantFinding(t, r, "turn-tcp", doctor.OK, "203.0.113.1:3478")
		wantFinding(t, r, "turn-tls", doctor.OK, "203.0.113.1:443")
		wantFinding(t, r, "ice-tcp", doctor.OK, "connected")
	})
	t.Run("1:1 NAT without --public-ip", func(t *testing.T) {
		t.Parallel()
		server, outside := natted(newLab(t))
		r, code := outside.doctor(server.serve(), "http://203.0.113.1:8080")
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
		wantFinding(t, r, "udp", doctor.Fail, "private addresses only (10.0.0.2:8189)")
		wantFinding(t, r, "udp", doctor.Fail, "--public-ip 203.0.113.1")
		wantFinding(t, r, "turn-udp", doctor.OK, "media came through the relay 203.0.113.1:3478")
	})
	t.Run("IPv6 only", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		server, client := l.host("server"), l.host("client")
		server.wire("eth0", "2001:db8:1::1/64", client, "eth0", "2001:db8:1::2/64")
		r, code := client.doctor(server.serve("--listen=[2001:db8:1::1]:8080"), "http://[2001:db8:1::1]:8080")
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
		wantFinding(t, r, "udp", doctor.OK, "[2001:db8:1::1]:8189")
		wantFinding(t, r, "turn-udp", doctor.OK, "[2001:db8:1::1]:3478")
		wantFinding(t, r, "turn-tcp", doctor.OK, "[2001:db8:1::1]:3478")
		wantFinding(t, r, "ice-tcp", doctor.OK, "connected")
	})
	t.Run("a closed port", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		server, client := l.host("server"), l.host("client")
		server.wire("eth0", "203.0.113.1/24", client, "eth0", "203.0.113.2/24")
		server.firewall(`
			table inet wall {
				chain in { type filter hook input priority filter; tcp dport 8080 drop; }
			}`)
		r, code := client.doctor(server.serve("--listen=203.0.113.1:8080"), "http://203.0.113.1:8080")
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
		wantFinding(t, r, "tcp", doctor.Fail, "a firewall drops it")
	})
}
