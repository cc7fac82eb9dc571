package main

import (
	"context"

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
func (c serveCommand) Run(ctx context.Context, con console) error {
	logger := c.NewLogger(con.err)
	c.Version = version
	err := server.Run(ctx, c.Config, logger, func(b server.Banner) {
		if c.LogFormat == "json" {
			b.Log(logger)
		} else {
			b.Print(con.out, isTerminal(con.out))
		}
	})
	if err == nil {
		logger.Info("stopped")
	}
	return err
}
