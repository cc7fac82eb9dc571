// Command crossvet vets the module for other systems and machines.
//
//	go run ./internal/crossvet GOOS/GOARCH...
//
// It finds what go vet would find, in less time: go vet compiles every dependency for each target first, which takes
// minutes when nothing is cached; this type-checks them from source, without the bodies of their functions.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/passes/assign"
	"golang.org/x/tools/go/analysis/passes/atomic"
	"golang.org/x/tools/go/analysis/passes/bools"
	"golang.org/x/tools/go/analysis/passes/copylock"
	"golang.org/x/tools/go/analysis/passes/errorsas"
	"golang.org/x/tools/go/analysis/passes/loopclosure"
	"golang.org/x/tools/go/analysis/passes/lostcancel"
	"golang.org/x/tools/go/analysis/passes/nilfunc"
	"golang.org/x/tools/go/analysis/passes/printf"
	"golang.org/x/tools/go/analysis/passes/shift"
	"golang.org/x/tools/go/analysis/passes/unreachable"
	"golang.org/x/tools/go/analysis/passes/unsafeptr"
	"golang.org/x/tools/go/analysis/passes/unusedresult"
	"golang.org/x/tools/go/packages"
)

// analyzers are those of go vet that can depend on the target.
var analyzers = []*analysis.Analyzer{
	assign.Analyzer, atomic.Analyzer, bools.Analyzer, copylock.Analyzer, errorsas.Analyzer,
	loopclosure.Analyzer, lostcancel.Analyzer, nilfunc.Analyzer, printf.Analyzer, shift.Analyzer, unreachable.Analyzer,
	unsafeptr.Analyzer, unusedresult.Analyzer,
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: crossvet GOOS/GOARCH...")
		os.Exit(2)
	}
	var failed error
	for _, target := range os.Args[1:] {
		if err := vet(target, os.Stdout, "./..."); err != nil {
			fmt.Fprintf(os.Stderr, "crossvet: %s: %v\n", target, err)
			failed = err
		}
	}
	if failed != nil {
		os.Exit(1)
	}
}

// vet prints what it finds for a target, and fails if there is something.
func vet(target string, out io.Writer, patterns ...string) error {
	system, machine, ok := strings.Cut(target, "/")
	if !ok {
		return errors.New("not of the form GOOS/GOARCH")
	}
	pkgs, err := packages.Load(&packages.Config{
		Mode:  packages.LoadAllSyntax | packages.NeedModule,
		Tests: true,
		Env:   append(os.Environ(), "GOOS="+system, "GOARCH="+machine, "CGO_ENABLED=0"),
	}, patterns...)
	if err != nil {
		return err
	}
	found := 0
	for _, p := range pkgs {
		for _, e := range p.Errors {
			fmt.Fprintf(out, "%s: %s\n", target, e)
			found++
		}
	}
	if found > 0 {
		return fmt.Errorf("%d errors", found)
	}
	graph, err := checker.Analyze(analyzers, pkgs, nil)
	if err != nil {
		return err
	}
	for action := range graph.All() {
		if !action.IsRoot {
			continue
		}
		if action.Err != nil {
			return fmt.Errorf("%s: %w", action, action.Err)
		}
		for _, d := range action.Diagnostics {
			fmt.Fprintf(out, "%s: %s: %s\n", target, action.Package.Fset.Position(d.Pos), d.Message)
			found++
		}
	}
	if found > 0 {
		return fmt.Errorf("%d findings", found)
	}
	return nil
}
