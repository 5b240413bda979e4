package cmd

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
)

// commandWords returns a command as it was called: name, arguments and the flags that were set, without those of the output. Flags of the
// connection are left out too: what is printed names the clusters that were read, by absolute paths and without credentials.
func commandWords(e *kernel.Env, cmd *cobra.Command, args []string) []string {
	words := append([]string{cmd.Name()}, args...)
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "output", "no-headers", "template":
			return
		}
		if !e.Flags.IsConnectionFlag(f) {
			words = append(words, commandline.FlagWords(f)...)
		}
	})
	return words
}

// localCommand returns the part of a command that says what is changed, without where: what is written before names and --local -f FILE.
func localCommand(cmd *cobra.Command, args []string) string {
	words := append([]string{display, cmd.Name()}, args...)
	for _, name := range []string{"affinity", "shared"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			for _, w := range commandline.FlagWords(f) {
				words = append(words, commandline.Quote(w))
			}
		}
	}
	return strings.Join(words, " ")
}
