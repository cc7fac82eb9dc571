package netns

import (
	"os"
	"testing"

	"siaran/e2e/harness/netlab"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m, clients)) }
