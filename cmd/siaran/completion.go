package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish"`
}

// Run prints the script that makes a shell complete commands and flags.
func (s completionCommand) Run(c console) error {
	var line commandLine
	parser, err := newParser(&line, nil)
	if err != nil {
		return err
	}
	scripts := map[string]func(io.Writer, []*kong.Node){"bash": bash, "zsh": zsh, "fish": fish}
	scripts[s.Shell](c.out, commandsOf(parser))
	return nil
}

// commandsOf returns the commands that --help lists.
func commandsOf(parser *kong.Kong) []*kong.Node {
	return slices.DeleteFunc(slices.Clone(parser.Model.Children), func(n *kong.Node) bool { return n.Hidden })
}

// flagsOf returns the flags of a command that --help lists, --help first.
func flagsOf(command *kong.Node) (flags []*kong.Flag) {
	for _, group := range command.AllFlags(true) {
		flags = append(flags, group...)
	}
	return flags
}

// choices returns the values that a flag or an argument may have; nil if it may have any.
func choices(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
}

// argumentChoices returns the values that the arguments of a command may have, and whether they are files.
func argumentChoices(command *kong.Node) (values []string, files bool) {
	for _, argument := range command.Positional {
		values = append(values, choices(argument)...)
		files = files || argument.Name == "file"
	}
	return values, files
}

func namesFile(f *kong.Flag) bool { return f.PlaceHolder == "FILE" || f.PlaceHolder == "FOLDER" }

// brief returns the first sentence of a help text.
func brief(text string) string {
	text, _, _ = strings.Cut(text, " (default")
	text, _, _ = strings.Cut(text, "; ")
	text, _, _ = strings.Cut(text+" ", ". ")
	return strings.TrimSuffix(strings.TrimSpace(text), ".")
}

func names(commands []*kong.Node) (list []string) {
	for _, command := range commands {
		list = append(list, command.Name)
	}
	return list
}

const bashHead = `# Completion of siaran's commands and flags for bash. Made by "siaran completion bash".
_siaran() {
	local current=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
	# "--flag=value" is three words.
	if [ "$current" = "=" ]; then
		current=
	elif [ "$flag" = "=" ]; then
		flag=${COMP_WORDS[COMP_CWORD-2]}
	fi
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		COMPREPLY=($(compgen -W "%s --help" -- "$current"))
		return
	fi
	case $command:$flag in
`

const bashMiddle = `	esac
	case $current in
	-*) ;;
	*) command=$command-arguments ;;
	esac
	case $command in
`

// What bash does for words of a list, and for names of files.
const (
	bashWords = `COMPREPLY=($(compgen -W "%s" -- "$current"))`
	bashFiles = `compopt -o filenames; COMPREPLY=($(compgen -f -- "$current"))`
)

func bash(w io.Writer, commands []*kong.Node) {
	fmt.Fprintf(w, bashHead, strings.Join(names(commands), " "))
	for _, command := range commands {
		bashValues(w, command)
	}
	fmt.Fprint(w, bashMiddle)
	for _, command := range commands {
		switch values, isFile := argumentChoices(command); {
		case isFile:
			fmt.Fprintf(w, "\t%s-arguments) %s ;;\n", command.Name, bashFiles)
		case values != nil:
			fmt.Fprintf(w, "\t%s-arguments) "+bashWords+" ;;\n", command.Name, strings.Join(values, " "))
		}
		var flags []string
		for _, f := range flagsOf(command) {
			flags = append(flags, "--"+f.Name)
		}
		fmt.Fprintf(w, "\t%s*) "+bashWords+" ;;\n", command.Name, strings.Join(flags, " "))
	}
	fmt.Fprint(w, "\tesac\n}\ncomplete -F _siaran siaran\n")
}

// bashValues prints what may follow each flag of a command.
func bashValues(w io.Writer, command *kong.Node) {
	var files, other []string
	for _, f := range flagsOf(command) {
		pattern := command.Name + ":--" + f.Name
		switch {
		case f.IsBool():
		case choices(f.Value) != nil:
			fmt.Fprintf(w, "\t%s) "+bashWords+"; return ;;\n", pattern, strings.Join(choices(f.Value), " "))
		case namesFile(f):
			files = append(files, pattern)
		default:
			other = append(other, pattern)
		}
	}
	if len(files) > 0 {
		fmt.Fprintf(w, "\t%s) %s; return ;;\n", strings.Join(files, "|"), bashFiles)
	}
	if len(other) > 0 {
		fmt.Fprintf(w, "\t%s) return ;;\n", strings.Join(other, "|"))
	}
}

// quoted returns text as one word of a shell, between single quotes.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

var (
	zshText  = strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`)
	fishText = strings.NewReplacer(`\`, `\\`)
)

func zsh(w io.Writer, commands []*kong.Node) {
	fmt.Fprintln(w, `#compdef siaran`)
	fmt.Fprintln(w, `# Completion of siaran's commands and flags for zsh. Made by "siaran completion zsh".`)
	fmt.Fprintln(w, "_siaran() {\n\tlocal context state state_descr line\n\ttypeset -A opt_args")
	fmt.Fprintln(w, "\t_arguments -C '1:command:->command' '*::argument:->arguments'\n\tcase $state in\n\tcommand)")
	fmt.Fprintln(w, "\t\tlocal -a commands=(")
	for _, command := range commands {
		fmt.Fprintf(w, "\t\t\t%s\n", quoted(command.Name+":"+brief(command.Help)))
	}
	fmt.Fprintln(w, "\t\t)\n\t\t_describe command commands\n\t\t;;\n\targuments)\n\t\tcase $line[1] in")
	for _, command := range commands {
		zshCommand(w, command)
	}
	fmt.Fprint(w, "\t\tesac\n\t\t;;\n\tesac\n}\nif [ \"$funcstack[1]\" = _siaran ]; then\n\t_siaran \"$@\"\nelse\n"+
		"\tcompdef _siaran siaran\nfi\n")
}

func zshCommand(w io.Writer, command *kong.Node) {
	fmt.Fprintf(w, "\t\t%s)\n\t\t\t_arguments", command.Name)
	for _, f := range flagsOf(command) {
		spec, repeated := "--"+f.Name, ""
		if f.IsCumulative() {
			repeated = "*"
		}
		if !f.IsBool() {
			spec += "="
		}
		fmt.Fprintf(w, " \\\n\t\t\t\t%s", quoted(repeated+spec+"["+zshText.Replace(brief(f.Help))+"]"+zshValue(f)))
	}
	switch values, files := argumentChoices(command); {
	case files:
		fmt.Fprint(w, " \\\n\t\t\t\t'*:file:_files'")
	case values != nil:
		fmt.Fprintf(w, " \\\n\t\t\t\t'1:value:(%s)'", strings.Join(values, " "))
	}
	fmt.Fprint(w, "\n\t\t\t;;\n")
}

func zshValue(f *kong.Flag) string {
	switch {
	case f.IsBool():
		return ""
	case choices(f.Value) != nil:
		return ":value:(" + strings.Join(choices(f.Value), " ") + ")"
	case namesFile(f):
		return ":file:_files"
	}
	return ":value: "
}

func fish(w io.Writer, commands []*kong.Node) {
	fmt.Fprintln(w, `# Completion of siaran's commands and flags for fish. Made by "siaran completion fish".`)
	fmt.Fprintln(w, "complete -c siaran -f")
	for _, command := range commands {
		fmt.Fprintf(w, "complete -c siaran -n __fish_use_subcommand -a %s -d %s\n", command.Name,
			quoted(fishText.Replace(brief(command.Help))))
	}
	for _, command := range commands {
		condition := "complete -c siaran -n '__fish_seen_subcommand_from " + command.Name + "'"
		for _, f := range flagsOf(command) {
			kind := " -x"
			switch {
			case f.IsBool():
				kind = ""
			case choices(f.Value) != nil:
				kind = " -x -a '" + strings.Join(choices(f.Value), " ") + "'"
			case namesFile(f):
				kind = " -r -F"
			}
			fmt.Fprintf(w, "%s -l %s%s -d %s\n", condition, f.Name, kind, quoted(fishText.Replace(brief(f.Help))))
		}
		switch values, files := argumentChoices(command); {
		case files:
			fmt.Fprintf(w, "%s -F\n", condition)
		case values != nil:
			fmt.Fprintf(w, "%s -a '%s'\n", condition, strings.Join(values, " "))
		}
	}
}
