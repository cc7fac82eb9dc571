package server

import (
	"fmt"
	"strconv"
	"strings"
)

// Bitrate is a number of bits per second.
type Bitrate int

// UnmarshalText reads a number with an optional k or M.
func (b *Bitrate) UnmarshalText(text []byte) error {
	number, factor := string(text), 1.0
	switch {
	case strings.HasSuffix(number, "k"):
		number, factor = strings.TrimSuffix(number, "k"), 1e3
	case strings.HasSuffix(number, "M"):
		number, factor = strings.TrimSuffix(number, "M"), 1e6
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v > 0 && v*factor < 1e12) {
		return fmt.Errorf("%q is not a bitrate: give bits per second, such as 2500k or 2.5M", text)
	}
	*b = Bitrate(v*factor + 0.5)
	return nil
}

// ByteSize is a number of bytes.
type ByteSize int64

// UnmarshalText reads a number with an optional k, M or G (powers of 1024).
func (b *ByteSize) UnmarshalText(text []byte) error {
	number, shift := string(text), 0
	for i, unit := range []string{"k", "M", "G"} {
		if n, found := strings.CutSuffix(number, unit); found {
			number, shift = n, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<50)>>shift {
		return fmt.Errorf("%q is not a size: give bytes, such as 512M or 2G", text)
	}
	*b = ByteSize(n << shift)
	return nil
}
