package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// commandLine is everything that can be typed.
type commandLine struct {
	Serve   Config         `cmd:"" help:"Run the server."`
	Publish publishCommand `cmd:"" help:"Broadcast a file or the built-in demo clip."`
	Bench   benchCommand   `cmd:"" help:"Measure how many viewers a server carries."`
	Doctor  doctorCommand  `cmd:"" help:"Say what will not work, and why."`
	Token   tokenCommand   `cmd:"" help:"Make a token and print it."`
	Version versionCommand `cmd:"" help:"Print the version."`

	Healthcheck healthcheckCommand `cmd:"" hidden:"" help:"Fail unless the server in this container answers."`
}

// console is where a command talks to people.
type console struct{ out, err io.Writer }

func main() {
	// The second signal ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := execute(ctx, os.Args[1:], console{os.Stdout, os.Stderr})
	os.Exit(code)
}

// execute runs one command line and returns the exit code: 0, 1 when it failed, 2 when it makes no sense.
func execute(ctx context.Context, args []string, c console) int {
	var line commandLine
	exit := -1
	parser, err := newParser(&line, args,
		kong.Writers(c.out, c.err),
		kong.Exit(func(code int) { exit = code }), // of --help
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(c),
	)
	if err != nil {
		fmt.Fprintln(c.err, "siaran:", err)
		return 2
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	if err != nil {
		fmt.Fprintf(c.err, "siaran: %v\nsiaran --help tells what can be given.\n", err)
		return 2
	}
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(c.err, "siaran:", err)
		return 1
	}
	return 0
}

// newParser reads the configuration file too, if args or the environment name one.
func newParser(line *commandLine, args []string, options ...kong.Option) (*kong.Kong, error) {
	options = append(options,
		kong.Name("siaran"),
		kong.Description("Live broadcast: WHIP in, WHEP out, and pages that show it. Every flag can also be given as an environment variable, such as SIARAN_LISTEN."),
		kong.DefaultEnvars("SIARAN"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
	)
	if path := configPath(args); path != "" {
		file, err := readConfigFile(path)
		if err != nil {
			return nil, err
		}
		options = append(options, kong.Resolvers(file))
	}
	return kong.New(line, options...)
}
