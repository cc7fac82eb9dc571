package siaran

import (
	"testing"

	"siaran/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }
