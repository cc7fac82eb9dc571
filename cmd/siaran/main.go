package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"github.com/alecthomas/kong"

	"siaran/cmd/siaran/server"
)

// commandLine holds all commands with their flags.
type commandLine struct {
	Serve   serveCommand   `cmd:"" help:"Run the server."`
	Publish publishCommand `cmd:"" help:"Broadcast a file or the built-in demo clip."`
	Bench   benchCommand   `cmd:"" help:"Measure how many viewers a server carries."`
	Doctor  doctorCommand  `cmd:"" help:"Report what will not work, and why."`
	Token   tokenCommand   `cmd:"" help:"Make a token and print it."`
	Link    linkCommand    `cmd:"" help:"Make a link with which a stream can be watched, and print it."`
	Version versionCommand `cmd:"" help:"Print the version."`

	Completion completionCommand `cmd:"" help:"Print a script that makes a shell complete commands and flags."`
	Man        manCommand        `cmd:"" help:"Print the manual page."`

	Healthcheck healthcheckCommand `cmd:"" hidden:"" help:"Fail unless the server in this container responds."`
}

// console is where a command writes: results to out, messages to err.
type console struct{ out, err io.Writer }

// usageError reports a command line that makes no sense.
type usageError struct{ error }

func main() {
	// The second signal ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := execute(ctx, os.Args[1:], console{os.Stdout, os.Stderr})
	os.Exit(code)
}

// execute runs one command line and returns the exit code: 0, 1 if the command fails, 2 if the command line makes no
// sense.
func execute(ctx context.Context, args []string, c console) int {
	var line commandLine
	exit := -1
	parser, err := newParser(&line, args,
		kong.Writers(c.out, c.err),
		kong.Exit(func(code int) { exit = code }), // of --help
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(c),
		kong.Bind(arguments(args)),
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
		fmt.Fprintf(c.err, "siaran: %v\nRun siaran --help for the commands and flags.\n", err)
		return 2
	}
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(c.err, "siaran:", err)
		if errors.As(err, new(usageError)) {
			return 2
		}
		return 1
	}
	return 0
}

// parsed reads settings of one type, and says in our words what is wrong with them.
func parsed[T any](parse func(string) (T, error), advice string) kong.Option {
	return kong.TypeMapper(reflect.TypeFor[T](), kong.MapperFunc(func(ctx *kong.DecodeContext, to reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
		v, err := parse(text)
		if err != nil {
			return fmt.Errorf("%q: %s", text, advice)
		}
		to.Set(reflect.ValueOf(v))
		return nil
	}))
}

func logLevel(text string) (level slog.Level, err error) {
	err = level.UnmarshalText([]byte(text))
	return level, err
}

// newParser also reads the configuration file, if args or the environment name one.
func newParser(line *commandLine, args []string, options ...kong.Option) (*kong.Kong, error) {
	options = append(options,
		kong.Name("siaran"),
		kong.Description("Live streaming: WHIP in, WHEP out, and web pages. "+
			"Every flag can also be set as an environment variable, such as SIARAN_LISTEN."),
		kong.DefaultEnvars("SIARAN"),
		kong.Vars{"skip_interfaces": server.SkipInterfaces, "admin_listen": server.DefaultAdminListen},
		kong.PostBuild(explain),
		parsed(netip.ParseAddr, "give an IP address such as 203.0.113.7"),
		parsed(netip.ParsePrefix, "give a network such as 127.0.0.1/32"),
		parsed(logLevel, "give debug, info, warn or error"),
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
