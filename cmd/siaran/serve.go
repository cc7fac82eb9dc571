package main

import (
	"context"
	"io"

	"github.com/alecthomas/kong"

	"siaran/cmd/siaran/server"
)

// serverSettings are the settings of a server and the file that may contain them.
type serverSettings struct {
	File string `name:"config" placeholder:"FILE"`
	server.Config
}

// serveCommand runs a server.
type serveCommand struct{ serverSettings }

// Run serves until ctx ends.
func (c serveCommand) Run(ctx context.Context, con console, args arguments) error {
	if _, err := c.Checked(); err != nil {
		return usageError{err}
	}
	logger, level := c.NewLogger(con.err)
	c.Version = version
	err := server.Run(ctx, c.Config, logger, func(b server.Banner) {
		if c.LogFormat == "json" {
			b.Log(logger)
		} else {
			b.Print(con.out, isTerminal(con.out))
		}
	}, server.Reload{Read: args.settings, Level: level})
	if err == nil {
		logger.Info("stopped")
	}
	return err
}

// arguments are the words of the command line.
type arguments []string

// settings reads the settings of serve again: the file may have changed.
func (a arguments) settings() (server.Config, error) {
	var line commandLine
	parser, err := newParser(&line, a, kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
	if err != nil {
		return server.Config{}, err
	}
	_, err = parser.Parse(a)
	return line.Serve.Config, err
}
