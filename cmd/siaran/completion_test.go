package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompletionAndManualHaveEveryFlag: what --help lists is in the scripts of all shells and in the manual page.
func TestCompletionAndManualHaveEveryFlag(t *testing.T) {
	texts := map[string]string{}
	for _, args := range [][]string{
		{"completion", "bash"}, {"completion", "zsh"}, {"completion", "fish"}, {"man"},
	} {
		code, out, err := command(t.Context(), args...)
		if code != 0 || err != "" {
			t.Fatalf("%v: code %d, %s", args, code, err)
		}
		texts[args[len(args)-1]] = out
	}
	forms := map[string]string{"bash": "--%s", "zsh": "--%s", "fish": "-l %s ", "man": `\-\-%s\fR`}
	var line commandLine
	parser, err := newParser(&line, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range commandsOf(parser) {
		for _, f := range flagsOf(command) {
			for name, text := range texts {
				flag := f.Name
				if name == "man" {
					flag = roff(flag)
				}
				if !strings.Contains(text, strings.ReplaceAll(forms[name], "%s", flag)) {
					t.Errorf("%s has no --%s of %s", name, f.Name, command.Name)
				}
			}
		}
	}
	for name, text := range texts {
		if strings.Contains(text, "healthcheck") {
			t.Errorf("%s has the command that --help does not list", name)
		}
	}
}

// TestShellsTakeTheirScripts runs bash's as bash does, and lets the other shells that are installed read theirs.
func TestShellsTakeTheirScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		_, script, _ := command(t.Context(), "completion", shell)
		path := filepath.Join(t.TempDir(), shell)
		if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), shell, "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
		if shell != "bash" {
			continue
		}
		for words, want := range map[string]string{
			"siaran se":                    "serve",
			"siaran serve --log-fo":        "--log-format",
			"siaran serve --log-format j":  "json",
			"siaran serve --listing = f":   "firestore",
			"siaran serve --listing =":     "sqlite firestore",
			"siaran serve --listen x":      "",
			"siaran completion ba":         "bash",
			"siaran token --scope publish": "publish",
		} {
			run := "source " + path + `; COMP_WORDS=($0); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _siaran; echo "${COMPREPLY[*]}"`
			out, err := exec.CommandContext(t.Context(), "bash", "-c", run, words).CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != want {
				t.Errorf("%s: %q, want %q (%v)", words, got, want, err)
			}
		}
	}
}

// TestManualIsTroff: what begins with a dot or an apostrophe would be a request to troff.
func TestManualIsTroff(t *testing.T) {
	_, out, _ := command(t.Context(), "man")
	for line := range strings.Lines(out) {
		request, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case !strings.HasPrefix(line, ".") && !strings.HasPrefix(line, "'"):
		case strings.Contains(".TH .SH .SS .TP .B .BR .I .br .nh .ad", request):
		default:
			t.Errorf("a request of no macro that the page uses: %s", line)
		}
	}
	for text, want := range map[string]string{".x": `\&.x`, `a\b`: `a\(rsb`, "don't --x": `don\(aqt \-\-x`} {
		if got := roff(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
