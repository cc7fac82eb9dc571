package testutil

import (
	"flag"
	"strconv"
)

// Together lets n parallel tests run beside each other, on however few CPUs, in a package whose parallel tests mostly
// wait. It is called before Main.
func Together(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic(err)
	}
}
