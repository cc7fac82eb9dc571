// Command siaran is a live broadcast server in one binary. Video comes in over WHIP from OBS or a browser and goes out
// over WHEP to every viewer. Web pages show what is live.
//
//	siaran serve        runs the server
//	siaran publish      broadcasts a file or the demo clip
//	siaran token        makes a token
//	siaran link         makes a link with which a stream can be watched
//	siaran bench        measures how many viewers a server carries
//	siaran doctor       reports what will not work, and why
//	siaran completion   prints a script with which a shell completes commands
//	siaran man          prints the manual
//	siaran version      prints the version
//
// Each command is a struct whose fields are its flags. The settings of serve are those of [server.Config], from flags,
// environment variables and a YAML file. Package server does the rest.
package main
