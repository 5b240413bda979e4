package cmd

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// commandLine returns a command as it was called, for a shell: name, arguments and the flags that were set, without those of the output
// and without credentials, which are never printed.
func commandLine(cmd *cobra.Command, args []string) string {
	words := []string{display, cmd.Name()}
	for _, a := range args {
		words = append(words, clusters.Quote(a))
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "output", "no-headers", "template":
			return
		}
		words = append(words, clusters.FlagWords(f)...)
	})
	return strings.Join(words, " ")
}

// localCommand returns the part of a command that says what is changed, without where: what is written before names and --local -f FILE.
func localCommand(cmd *cobra.Command, args []string) string {
	words := append([]string{display, cmd.Name()}, args...)
	for _, name := range []string{"affinity", "shared"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			words = append(words, clusters.FlagWords(f)...)
		}
	}
	return strings.Join(words, " ")
}
