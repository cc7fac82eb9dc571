package doctor

import (
	"fmt"
	"strings"
)

// checkEmulators looks where --dev is said. Without it the server refuses to start with such variables, which is
// found with the configuration.
func checkEmulators(set []string, loopback bool) []Check {
	const name = "emulators"
	switch {
	case len(set) == 0:
		return nil
	case loopback:
		return []Check{ok(name, "%s: emulators are used, as --dev allows, on this machine alone.", strings.Join(set, ", "))}
	}
	return []Check{warn(name, fmt.Sprintf("%s: emulators are used, which believe everyone, and others may reach this server.", strings.Join(set, ", ")),
		"Take it out of the environment, and --dev too, unless this is a machine for development.")}
}
