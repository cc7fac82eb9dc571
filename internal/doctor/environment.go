package doctor

import (
	"fmt"
	"strings"
)

// checkEmulators is for servers with --dev. Without it, a server refuses to start with such variables, which the
// check of the configuration reports.
func checkEmulators(set []string, loopback bool) []Check {
	const name = "emulators"
	switch {
	case len(set) == 0:
		return nil
	case loopback:
		return []Check{ok(name, "%s: emulators are in use, as --dev allows, on this machine only.", strings.Join(set, ", "))}
	}
	return []Check{warn(name, fmt.Sprintf("%s: emulators are in use. They accept anyone, and others may be able to "+
		"reach this server.", strings.Join(set, ", ")),
		"Remove the variable and --dev, unless this is a machine for development.")}
}
