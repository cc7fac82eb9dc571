//go:build !unix

package load

import "time"

// Used is unknown on this system.
func Used() time.Duration { return 0 }
