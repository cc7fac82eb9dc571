package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/web/access"
)

// command runs a command line as a shell would.
func command(ctx context.Context, args ...string) (code int, out, err string) {
	var o, e bytes.Buffer
	code = execute(ctx, args, console{&o, &e})
	return code, o.String(), e.String()
}

func TestCommandLinesThatMakeNoSense(t *testing.T) {
	dir := t.TempDir()
	badYAML := filepath.Join(dir, "bad.yaml")
	unknownKey := filepath.Join(dir, "unknown.yaml")
	otherKey := filepath.Join(dir, "other.yaml")
	group := filepath.Join(dir, "group.yaml")
	long := filepath.Join(dir, "long.yaml")
	for path, text := range map[string]string{
		badYAML:    "listen: [",
		unknownKey: "lisen: :8080\n",
		otherKey:   "max_viewers: 3\nport: 8080\n",
		group:      "listen: {a: b}\n",
		long:       "listen: 8080\n#" + strings.Repeat(" ", maxConfigFile) + "\nlisen: :8080\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"", 2, "serve"},
		{"fly", 2, "fly"},
		{"serve --lisen :8080", 2, "--lisen"},
		{"serve --public-ip here", 2, `--public-ip: "here": give an IP address`},
		{"serve --trusted-proxy 127.0.0.1", 2, `--trusted-proxy: "127.0.0.1": give a network such as 127.0.0.1/32`},
		{"serve --log-format xml", 2, "--log-format"},
		{"serve --log-level loud", 2, "give debug, info, warn or error"},
		{"serve --grace soon", 2, "--grace"},
		{"serve --config " + dir + "/none.yaml", 2, "none.yaml"},
		{"serve --config " + badYAML, 2, "bad.yaml"},
		{"serve --config=" + unknownKey, 2, `no setting "lisen": did you mean listen?`},
		{"serve --config=" + otherKey, 2, `no setting "port": siaran serve --help`},
		{"serve --config=" + group, 2, "listen"},
		{"serve --config=" + long, 2, "more than"},
		{"serve --listen 8080", 2, "host:port"},
		{"serve --udp :99999", 2, "--udp"},
		{"serve --grace 2h", 2, "--grace"},
		{"serve --base-url live.example.org", 2, "--base-url"},
		{"serve --base-url https://example.org/live", 2, "host name of its own"},
		{"serve --source-share 0", 2, "--source-share"},
		{"serve --source-share 101", 2, "--source-share"},
		{"serve --public-ip 0.0.0.0", 2, "--public-ip"},
		{"serve --max-viewers 0", 2, "--max-viewers"},
		{"serve --max-joins 2000000", 2, "give 1 to 1000000"},
		{"serve --max-children=-1", 2, "--max-children"},
		{"serve --parent origin.example.org", 2, "--parent"},
		{"serve --parent http://a.example --listing firestore --firebase-project p", 2, "--parent"},
		{"serve --parent https://a.example --base-url https://a.example/", 2, "own --base-url"},
		{"serve --front-url live.example.org", 2, "--front-url"},
		{"serve --front-url http://live.example --base-url https://a.example", 2, "--front-url"},
		{"serve --listen 127.0.0.1:0 --udp 127.0.0.1:0 --turn= --secret-file nowhere --data " + dir, 1, "--secret-file"},
		{"serve --burst 10", 2, "--burst"},
		{"serve --webhook www.example.org --webhook-secret-file x", 2, "--webhook"},
		{"serve --webhook https://u:p@example.org --webhook-secret-file x", 2, "process list"},
		{"serve --webhook https://www.example.org", 2, "--webhook-secret-file"},
		{"serve --webhook http://a.example,http://a.example --webhook-secret-file x", 2, "twice"},
		{"serve --listen 127.0.0.1:0 --udp 127.0.0.1:0 --turn= --webhook http://a.example --webhook-secret-file nowhere " +
			"--data " + dir, 1, "--webhook-secret-file"},
		{"serve --dscp 64", 2, "--dscp"},
		{"serve --allow-origin www.example.org", 2, "--allow-origin"},
		{"serve --allow-origin https://www.example.org/", 2, "--allow-origin"},
		{"token --scope publish", 2, "--stream"},
		{"token --stream cats", 2, "--scope"},
		{"token --stream cats --scope fly --data " + dir, 2, "--scope"},
		{"token --stream Cats --scope publish --data " + dir, 2, "--stream"},
		{"token --stream cats --scope publish --ttl=-5s --data " + dir, 2, "--ttl"},
		{"publish --url http://127.0.0.1:1/whip/cats", 1, "--demo"},
		{"publish --url http://127.0.0.1:1/whip/cats --demo file", 1, "not both"},
		{"publish --url http://127.0.0.1:1/whip/cats " + dir + "/none.ivf", 1, "none.ivf"},
		{"publish --url nonsense --demo --once", 1, "nonsense"},
		{"publish --url http://127.0.0.1:1/whip/cats --demo --once", 1, "cannot be reached"},
	} {
		t.Run(test.args, func(t *testing.T) {
			code, out, err := command(t.Context(), strings.Fields(test.args)...)
			if code != test.code || !strings.Contains(err, test.says) || out != "" {
				t.Errorf("code %d, stdout %q, stderr %q", code, out, err)
			}
		})
	}
}

func TestSettingsComeFromEverywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "siaran.yaml")
	text := "listen: 127.0.0.1:1\nudp: 127.0.0.1:1\ngrace: 1m\nmax-viewers: 7\n" +
		"public-ip: [192.0.2.1, 2001:db8::1]\nlog-level: debug\ndemo: true\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SIARAN_CONFIG", path)
	t.Setenv("SIARAN_UDP", "127.0.0.1:2")
	t.Setenv("SIARAN_LISTEN", "127.0.0.1:2")
	cfg := parse(t, "serve", "--listen", "127.0.0.1:3")
	if cfg.Listen != "127.0.0.1:3" || cfg.UDP != "127.0.0.1:2" || cfg.Grace != time.Minute || cfg.MaxViewers != 7 ||
		!slices.Equal(cfg.PublicIP, []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}) ||
		cfg.LogLevel != slog.LevelDebug || !cfg.Demo || cfg.MaxBroadcasts != 100 {
		t.Errorf("%+v", cfg)
	}
}

// TestExampleFile reads siaran.example.yaml with the settings that are commented out in it. Some of them exclude
// others, and one names a file that is not here.
func TestExampleFile(t *testing.T) {
	setting := regexp.MustCompile(`^# ([a-z-]+): `)
	for _, without := range [][]string{
		{"tls-cert", "tls-key", "discover-public-ip", "firebase-web-config"},
		{"acme", "acme-email", "acme-ca", "acme-root", "public-ip", "firebase-web-config"},
	} {
		lines := strings.Split(string(harness.ReadFile(t, "..", "..", "siaran.example.yaml")), "\n")
		for i, line := range lines {
			if m := setting.FindStringSubmatch(line); m != nil && !slices.Contains(without, m[1]) {
				lines[i] = line[2:]
			}
		}
		path := harness.WriteFile(t, "siaran.yaml", strings.Join(lines, "\n"))
		cfg := parse(t, "serve", "--config", path)
		if _, err := cfg.Checked(); err != nil {
			t.Error(err)
		}
		if cfg.BaseURL != "https://live.example.org" {
			t.Errorf("%+v", cfg)
		}
	}
}

func parse(t *testing.T, args ...string) server.Config {
	t.Helper()
	var line commandLine
	parser, err := newParser(&line, args, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	return line.Serve.Config
}

func TestVersionAndHelp(t *testing.T) {
	if code, out, _ := command(t.Context(), "version"); code != 0 || !strings.HasPrefix(out, "siaran ") {
		t.Errorf("%d %q", code, out)
	}
	if code, out, _ := command(t.Context(), "serve", "--help"); code != 0 || !strings.Contains(out, "SIARAN_LISTEN") {
		t.Errorf("%d %q", code, out)
	}
}

// TestToken makes the secret when there is none, and carries the stream's key generation while the server runs.
func TestToken(t *testing.T) {
	fresh := filepath.Join(t.TempDir(), "fresh")
	code, out, stderr := command(t.Context(), "token", "--data", fresh, "--stream", "*", "--scope", "admin", "--ttl", "1h")
	if code != 0 || !strings.Contains(stderr, "a new secret was made in "+fresh) || strings.Count(out, "\n") != 1 {
		t.Fatalf("%d %q %q", code, out, stderr)
	}
	secret, created, err := access.OpenSecret(fresh)
	if err != nil || created {
		t.Fatal(created, err)
	}
	claims, err := secret.Verify(t.Context(), strings.TrimSpace(out))
	if err != nil || !claims.IsAdmin() || claims.ID == "" || time.Until(claims.Expires).Round(time.Minute) != time.Hour {
		t.Errorf("%+v %v", claims, err)
	}

	s := harness.Start(t)
	token := func() string {
		code, out, stderr := command(t.Context(), "token", "--data", s.Data, "--stream", "cats", "--scope", "publish",
			"--scope", "watch")
		if code != 0 {
			t.Fatal(stderr)
		}
		return strings.TrimSpace(out)
	}
	old := token()
	if code := s.Call(t, "PATCH", "/api/streams/cats", old, `{"title":"a"}`); code != 200 {
		t.Fatalf("a fresh token: %d", code)
	}
	if code := s.Call(t, "POST", "/api/streams/cats/keys", s.Admin, ""); code/100 != 2 {
		t.Fatalf("renewing keys: %d", code)
	}
	if code := s.Call(t, "PATCH", "/api/streams/cats", old, `{"title":"b"}`); code != 401 && code != 403 {
		t.Errorf("an old token: %d", code)
	}
	if code := s.Call(t, "PATCH", "/api/streams/cats", token(), `{"title":"c"}`); code != 200 {
		t.Errorf("a new token: %d", code)
	}
}

// TestServeCommand prints what people need, and ends with a signal.
func TestServeCommand(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out, stderr := &harness.Buffer{}, &harness.Buffer{}
			code := make(chan int, 1)
			go func() {
				code <- execute(ctx, []string{"serve", "--listen=127.0.0.1:0", "--udp=127.0.0.1:0", "--data", t.TempDir(),
					"--log-format", format}, console{out, stderr})
			}()
			if format == "text" {
				harness.Eventually(t, "banner", func() bool { return strings.Contains(out.String(), "Data") })
				if strings.Contains(out.String()+stderr.String(), "token=") {
					t.Errorf("a token for whatever keeps the output: %s", out)
				}
				for _, word := range []string{"/studio\n", "--stream '*' --scope admin", "/whip/cats", "token --data",
					"Dashboard"} {
					if !strings.Contains(out.String(), word) {
						t.Errorf("no %s in %s", word, out)
					}
				}
				if strings.Contains(out.String(), "Warning") {
					t.Error("a warning on loopback")
				}
			} else {
				harness.Eventually(t, "banner", func() bool { return strings.Contains(stderr.String(), `"msg":"ready"`) })
				if strings.Contains(stderr.String(), "token=") || !strings.Contains(stderr.String(), "--scope admin") ||
					out.String() != "" {
					t.Errorf("%s %s", out, stderr)
				}
			}
			cancel()
			if c := <-code; c != 0 {
				t.Errorf("code %d: %s", c, stderr)
			}
		})
	}
}
