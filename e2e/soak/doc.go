// Package soak has viewers come and go for as long as SIARAN_SOAK says, and looks whether anything grows in the server
// meanwhile. `make soak` is half an hour; without the variable it is a matter of seconds.
//
//	main_test.go    the server, in a process of its own that tells what it holds
//	crowd_test.go   the viewers
//	soak_test.go    the test
package soak
