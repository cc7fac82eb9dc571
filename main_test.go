package siaran

import (
	"os"
	"testing"

	"siaran/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }
