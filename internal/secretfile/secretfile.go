// Package secretfile reads files with secrets.
package secretfile

import (
	"fmt"
	"io"
	"os"
)

// Read returns what a file holds, up to a number of bytes. It fails if everybody on the machine can read or write it.
func Read(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it is only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return nil, fmt.Errorf("%s can be read by everybody (mode %04o): run chmod o= on it", path, mode)
	}
	return io.ReadAll(io.LimitReader(f, most))
}
