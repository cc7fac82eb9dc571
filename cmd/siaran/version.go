package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version and commit are set by releases: -ldflags "-X main.version=1.2.3 -X main.commit=0123456789ab".
var version, commit = "", ""

type versionCommand struct{}

// Run prints the version and what Go knows about the build.
func (versionCommand) Run(c console) error {
	text, commit := version, commit
	if info, ok := debug.ReadBuildInfo(); ok {
		if text == "" {
			text = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && commit == "" {
				commit = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	if commit != "" {
		commit += " "
	}
	if text == "" || text == "(devel)" {
		text = "development"
	}
	_, err := fmt.Fprintf(c.out, "siaran %s (%s%s %s/%s)\n", text, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
