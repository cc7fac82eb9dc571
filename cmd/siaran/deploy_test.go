package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"siaran/e2e/harness"
)

// run is one command of a file for deployment: arguments after the program's name, and variables.
type run struct {
	file, name string
	args       []string
	env        map[string]string
}

// TestDeploymentsAreAccepted: what the files for Compose, Kubernetes and systemd run is a command line that exists,
// with settings that are valid together.
func TestDeploymentsAreAccepted(t *testing.T) {
	root := filepath.Join("..", "..")
	runs := append(composeRuns(t, root), kubernetesRuns(t, root)...)
	unit := string(harness.ReadFile(t, root, "deploy", "systemd", "siaran.service"))
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/siaran (.*)$`).FindStringSubmatch(unit)
	variable := regexp.MustCompile(`(?m)^Environment=(\w+)=(.*)$`).FindStringSubmatch(unit)
	if start == nil || variable == nil {
		t.Fatal("the unit does not run siaran")
	}
	args := strings.ReplaceAll(start[1], "/etc/siaran/siaran.yaml", filepath.Join(root, "siaran.example.yaml"))
	runs = append(runs, run{"siaran.service", "unit", strings.Fields(args), map[string]string{variable[1]: variable[2]}})
	if len(runs) < 8 {
		t.Errorf("only %d commands were found", len(runs))
	}
	for _, r := range runs {
		t.Run(r.file+"/"+r.name, func(t *testing.T) { r.check(t) })
	}
}

// foreign are variables that are not settings of ours.
var foreign = map[string]bool{
	"FIRESTORE_EMULATOR_HOST": true, "GOOGLE_APPLICATION_CREDENTIALS": true, "NODE_NAME": true,
}

func (r run) check(t *testing.T) {
	var line commandLine
	parser, err := newParser(&line, r.args)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, command := range commandsOf(parser) {
		if command.Name == "serve" {
			for _, f := range flagsOf(command) {
				for _, name := range f.Envs {
					known[name] = true
				}
			}
		}
	}
	// Certificates are read when settings are checked, and these are not here.
	certificate := harness.WriteFile(t, "file.pem", "")
	for name, value := range r.env {
		if !known[name] && !foreign[name] {
			t.Errorf("%s is no variable of siaran serve", name)
		}
		if strings.HasPrefix(name, "SIARAN_TLS_") {
			value = certificate
		}
		t.Setenv(name, value)
	}
	if parser, err = newParser(&line, r.args); err != nil { // variables are read when it is made
		t.Fatal(err)
	}
	if _, err := parser.Parse(r.args); err != nil {
		t.Fatal(err)
	}
	if _, err := line.Serve.Config.Checked(); err != nil {
		t.Error(err)
	}
}

// substitution is ${NAME:-default} or ${NAME:?explanation} of Compose.
var substitution = regexp.MustCompile(`\$\{(\w+)(?::([-?])([^}]*))?\}`)

// filled is what an administrator would write into .env.
var filled = map[string]string{
	"FIREBASE_PROJECT": "demo-siaran", "SIARAN_BASE_URL": "https://live.example.org", "SIARAN_PUBLIC_IP": "203.0.113.7",
	"SIARAN_NODE": "siaran-1", "SERVICE_ACCOUNT": "service-account.json",
}

func composeRuns(t *testing.T, root string) (runs []run) {
	files, err := filepath.Glob(filepath.Join(root, "docker-compose*.yml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		text := substitution.ReplaceAllStringFunc(string(harness.ReadFile(t, file)), func(s string) string {
			m := substitution.FindStringSubmatch(s)
			if m[2] == "-" {
				return m[3]
			}
			if filled[m[1]] == "" {
				t.Errorf("%s: .env.example does not speak of %s", file, m[1])
			}
			return filled[m[1]]
		})
		var v struct {
			Services map[string]struct {
				Image       string
				Command     []string
				Environment map[string]string
			}
		}
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for name, service := range v.Services {
			if service.Image != "siaran" {
				continue
			}
			args := service.Command
			if args == nil {
				args = []string{"serve"} // of the image
			}
			runs = append(runs, run{filepath.Base(file), name, args, service.Environment})
		}
	}
	return runs
}

// manifest is what the test looks at of an object of Kubernetes.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Template struct {
			Spec struct {
				Containers []container
			}
		}
	}
}

type container struct {
	Args []string
	Env  []struct {
		Name, Value string
		ValueFrom   struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	}
}

// fields are values that the node of a pod gives.
var fields = map[string]string{"spec.nodeName": "node-1", "metadata.name": "edge-0", "status.hostIP": "203.0.113.7"}

func kubernetesRuns(t *testing.T, root string) (runs []run) {
	folder := filepath.Join(root, "deploy", "kubernetes")
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	shared := map[string]string{}
	for _, entry := range entries {
		for documents := yaml.NewDecoder(bytes.NewReader(harness.ReadFile(t, folder, entry.Name()))); ; {
			var m manifest
			if err := documents.Decode(&m); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", entry.Name(), err)
			}
			if m.Kind == "ConfigMap" {
				shared = m.Data
			}
			for _, c := range m.Spec.Template.Spec.Containers {
				runs = append(runs, run{entry.Name(), m.Metadata.Name, c.Args, c.variables()})
			}
		}
	}
	for _, r := range runs {
		for name, value := range shared {
			r.env[name] = value
		}
	}
	return runs
}

// variables are those of a container, with the names in $(...) replaced.
func (c container) variables() map[string]string {
	env := map[string]string{}
	for _, v := range c.Env {
		value := v.Value + fields[v.ValueFrom.FieldRef.FieldPath]
		for name, known := range env {
			value = strings.ReplaceAll(value, "$("+name+")", known)
		}
		env[v.Name] = value
	}
	return env
}
