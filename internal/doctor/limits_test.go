package doctor

import (
	"testing"

	"siaran/mediaport"
)

func TestLimits(t *testing.T) {
	said(t, checkFiles(20000, true, 5000, 100), OK, "5000 viewers")
	said(t, checkFiles(4096, true, 5000, 100), Warn, "enough for 1692 viewers", "LimitNOFILE=10712")
	said(t, checkFiles(256, true, 5000, 100), Fail, "enough for 0 viewers")
	said(t, checkFiles(0, false, 5000, 100), Skip)

	all := mediaport.System{GSO: true, ReceiveBuffer: 4 << 20, SendBuffer: 4 << 20, WantedBuffer: 4 << 20}
	for _, c := range checkSystem(all, 5000) {
		said(t, c, OK)
	}
	small := all
	small.ReceiveBuffer, small.GSO = 208<<10, false
	list := checkSystem(small, 5000)
	said(t, list[0], Warn, "208 KB", "net.core.rmem_max=8388608")
	said(t, list[1], Warn, "GSO")
	small.SendBuffer = 208 << 10
	said(t, checkBuffers(small, 5000), Warn, "net.core.rmem_max=8388608 net.core.wmem_max=8388608")
	said(t, checkBuffers(small, 20), OK, "enough for 20 viewers")
	said(t, checkBuffers(mediaport.System{}, 5000), Skip)

	said(t, checkMemory(8<<30, true, 5000), OK)
	said(t, checkMemory(256<<20, true, 5000), Warn, "256 MB", "--max-viewers")
	said(t, checkMemory(0, false, 5000), Skip)
}

func TestEmulators(t *testing.T) {
	if list := checkEmulators(nil, false); list != nil {
		t.Errorf("%v", list)
	}
	set := []string{"FIRESTORE_EMULATOR_HOST=127.0.0.1:8080"}
	one(t, checkEmulators(set, true), OK, "--dev")
	one(t, checkEmulators(set, false), Warn, "FIRESTORE_EMULATOR_HOST", "--dev")
}
