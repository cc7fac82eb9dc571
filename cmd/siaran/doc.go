// Command siaran is a live broadcast server in one binary: a picture comes in over WHIP
// from OBS or a browser, goes out over WHEP to everyone who watches, and pages show what is live.
//
//	siaran serve     runs the server
//	siaran publish   broadcasts a file or the demo clip without a camera
//	siaran token     makes a token
//	siaran bench     measures a server with many viewers
//	siaran version   tells what this is
//
// This is the only package that knows all the others. Each command is a struct whose fields
// are its flags; [Config] is that of serve. run opens everything that a server needs,
// in full or not at all, and takes it down in order.
package main
