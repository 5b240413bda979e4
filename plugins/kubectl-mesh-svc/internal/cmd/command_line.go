package cmd

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandLine returns a command as it was called, for a shell: name, arguments and the flags that were set, without those of the output
// and without credentials, which are never printed.
func commandLine(cmd *cobra.Command, args []string) string {
	words := []string{display, cmd.Name()}
	for _, a := range args {
		words = append(words, shellQuote(a))
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "output", "no-headers", "template", "token", "password":
			return
		}
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		if f.NoOptDefVal != "" && value == f.NoOptDefVal {
			words = append(words, "--"+f.Name)
			return
		}
		words = append(words, "--"+f.Name+"="+shellQuote(value))
	})
	return strings.Join(words, " ")
}

// localCommand returns the part of a command that says what is changed, without where: what is written before names and --local -f FILE.
func localCommand(cmd *cobra.Command, args []string) string {
	words := append([]string{display, cmd.Name()}, args...)
	for _, name := range []string{"affinity", "shared"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			words = append(words, "--"+name+"="+shellQuote(f.Value.String()))
		}
	}
	return strings.Join(words, " ")
}

// shellQuote quotes a word for a POSIX shell where it needs it.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,=@%+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
