// Package soak has viewers come and go for as long as SIARAN_SOAK says, and looks whether anything grows in the server
// meanwhile, and whether anybody notices that its clock is set. `make soak` is half an hour; without the variable it is
// a matter of seconds.
//
//	main_test.go    the server, in a process of its own that tells what it holds
//	clock_test.go   its clock, which a test can set
//	crowd_test.go   the viewers
//	soak_test.go    they come and go
//	steps_test.go   the clock is set by an hour
package soak
