package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type manCommand struct{}

// Run prints the manual page of siaran and all its commands, for man(1).
func (manCommand) Run(c console) error {
	var line commandLine
	parser, err := newParser(&line, nil)
	if err != nil {
		return err
	}
	page(c.out, parser)
	return nil
}

const manEnd = `.SH ENVIRONMENT
Every flag can be set as the variable that is named with it. A flag goes before a variable, and a variable before the
configuration file. Several values of one variable are separated by commas.
.SH FILES
.TP
.I siaran\-data
The data folder, in which the server keeps its secret, its certificates and, with SQLite, its listing. See
.BR \-\-data .
.TP
.I /etc/siaran/siaran.yaml
The configuration of the service that the Debian package installs.
.SH EXIT STATUS
.TP
.B 0
The command has done what it was asked to.
.TP
.B 1
The command has failed.
.TP
.B 2
The command line or the configuration file is not valid.
`

func page(w io.Writer, parser *kong.Kong) {
	commands := commandsOf(parser)
	fmt.Fprintln(w, `.TH SIARAN 1 "" "" "User Commands"`)
	fmt.Fprintln(w, ".nh\n.ad l\n.SH NAME\nsiaran \\- one-to-many live streaming with WHIP and WHEP\n.SH SYNOPSIS")
	for _, command := range commands {
		fmt.Fprintf(w, "\\fBsiaran %s\\fR %s\n.br\n", command.Name, roff(synopsis(command)))
	}
	fmt.Fprintf(w, ".SH DESCRIPTION\n%s\n.SH COMMANDS\n", roff(parser.Model.Help))
	for _, command := range commands {
		fmt.Fprintf(w, ".SS siaran %s\n%s\n", command.Name, roff(command.Help))
		for _, argument := range command.Positional {
			item(w, argument, `\fI`+roff(argument.Name)+`\fR`)
		}
		for _, f := range flagsOf(command) {
			name := `\fB\-\-` + roff(f.Name) + `\fR`
			if !f.IsBool() {
				name += `=\fI` + roff(f.FormatPlaceHolder()) + `\fR`
			}
			item(w, f.Value, name)
		}
	}
	fmt.Fprint(w, manEnd)
}

// synopsis returns what follows the name of a command on a command line, other than flags that may be left out.
func synopsis(command *kong.Node) string {
	return strings.TrimPrefix(command.Summary(), command.Name)
}

// item describes a flag or an argument.
func item(w io.Writer, v *kong.Value, name string) {
	fmt.Fprintf(w, ".TP\n%s\n%s\n", name, roff(v.Help))
	if values := choices(v); values != nil {
		fmt.Fprintf(w, "One of: %s.\n", roff(strings.Join(values, ", ")))
	}
	if v.Flag != nil && len(v.Flag.Envs) > 0 {
		fmt.Fprintf(w, "Variable: %s.\n", roff(strings.Join(v.Flag.Envs, ", ")))
	}
}

// roff returns text that troff prints as it is, in one line.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\(rs`, "-", `\-`, "\n", " ", "'", `\(aq`).Replace(strings.TrimSpace(text))
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
