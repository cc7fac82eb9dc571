//go:build !unix

package doctor

func dataLocked(string) bool { return false }
