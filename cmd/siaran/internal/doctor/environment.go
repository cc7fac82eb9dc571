package doctor

import (
	"fmt"
	"os"
	"strings"
)

// emulators are the variables that make Firebase's libraries speak to an emulator, and take what it says for true.
var emulators = []string{"FIRESTORE_EMULATOR_HOST", "FIREBASE_AUTH_EMULATOR_HOST", "FIREBASE_DATABASE_EMULATOR_HOST"}

// checkEmulators finds them where they have no business.
func checkEmulators(allowed, firebase bool) []Check {
	const name = "emulators"
	var set []string
	for _, v := range emulators {
		if os.Getenv(v) != "" {
			set = append(set, v)
		}
	}
	switch {
	case len(set) == 0 && !firebase:
		return nil
	case len(set) == 0:
		return []Check{ok(name, "no emulator is set in the environment.")}
	case allowed:
		return []Check{ok(name, "%s: an emulator is used, as --dev allows.", strings.Join(set, ", "))}
	case firebase:
		return []Check{fail(name, fmt.Sprintf("%s is set: accounts and the listing would be an emulator's, which believes everyone.", strings.Join(set, ", ")), "Remove it from the environment; for trying things out say --dev.")}
	}
	return []Check{warn(name, fmt.Sprintf("%s is set and nothing uses it.", strings.Join(set, ", ")), "Remove it from the environment of a server that others use.")}
}
