package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

const maxConfigFile = 1 << 20 // bytes

// configFile provides the flags of serve and doctor from a YAML file whose keys are the names of the flags.
type configFile struct {
	path   string
	values map[string]any
}

// configPath finds the file before the flags are parsed, because parsing needs the file.
func configPath(args []string) string {
	if !slices.Contains(args, "serve") && !slices.Contains(args, "doctor") {
		return ""
	}
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--config="); ok {
			return value
		}
		if arg == "--config" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return os.Getenv("SIARAN_CONFIG")
}

func readConfigFile(path string) (*configFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration file cannot be read: %w", err)
	}
	defer f.Close() // it is only read
	c := &configFile{path: path}
	text, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return nil, fmt.Errorf("the configuration file cannot be read: %w", err)
	}
	if len(text) > maxConfigFile { // cut off, it could be a valid one
		return nil, fmt.Errorf("%s has more than %d bytes: is it a configuration file?", path, maxConfigFile)
	}
	err = yaml.NewDecoder(bytes.NewReader(text)).Decode(&c.values)
	if err != nil && !errors.Is(err, io.EOF) { // an empty file is fine
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return c, nil
}

// Validate returns an error for a key that is not the name of a setting.
func (c *configFile) Validate(app *kong.Application) error {
	var names []string
	for _, node := range app.Children {
		if node.Name != "serve" {
			continue
		}
		for _, flag := range node.Flags {
			if flag.Name != "config" {
				names = append(names, flag.Name)
			}
		}
	}
	var wrong []error
	for _, key := range slices.Sorted(maps.Keys(c.values)) {
		if slices.Contains(names, key) {
			continue
		}
		hint := "siaran serve --help lists all"
		if near := nearest(key, names); near != "" {
			hint = "did you mean " + near + "?"
		}
		wrong = append(wrong, fmt.Errorf("%s: there is no setting %q: %s", c.path, key, hint))
	}
	return errors.Join(wrong...)
}

// nearest returns the name that differs from key by the fewest letters, two at most, or nothing.
func nearest(key string, names []string) string {
	best, least := "", 3
	for _, name := range names {
		if d := distance(key, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is how many letters must be added, left out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, corner+1)
		}
	}
	return row[len(b)]
}

// Resolve returns the value of a flag, or nil if the file does not set it.
func (c *configFile) Resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	node := parent.Node()
	if node == nil || node.Name != "serve" && node.Name != "doctor" {
		return nil, nil
	}
	for _, name := range flag.Envs { // kong would prefer the file to the environment
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	switch v := c.values[flag.Name].(type) {
	case nil:
		return nil, nil
	case []any: // kong expects lists as they are written on a command line
		words := make([]string, len(v))
		for i := range v {
			words[i] = fmt.Sprint(v[i])
		}
		return strings.Join(words, ","), nil
	case map[string]any:
		return nil, fmt.Errorf("%s: %s is not a group of settings", c.path, flag.Name)
	default:
		return fmt.Sprint(v), nil
	}
}
