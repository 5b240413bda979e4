package cli

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// CompleteFlag lets the shell complete the values of a flag wherever root or one of its commands has it. A flag that takes several
// values, separated by commas, is completed value by value. list is called at completion time; its failure is silent.
func CompleteFlag(root *cobra.Command, flag string, list func(context.Context) []string) {
	each(root, func(cmd *cobra.Command) {
		if cmd.Flags().Lookup(flag) != nil || cmd.PersistentFlags().Lookup(flag) != nil {
			completeFlag(cmd, flag, list)
		}
	})
}

// completeFlag is CompleteFlag for one command that has the flag.
func completeFlag(cmd *cobra.Command, flag string, list func(context.Context) []string) {
	complete := func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		done := ""
		if n := strings.LastIndex(typed, ","); n >= 0 && several(cmd, flag) {
			done = typed[:n+1]
		}
		given := strings.Split(strings.TrimSuffix(done, ","), ",")
		var out []string
		for _, v := range list(contextOf(cmd)) {
			if !slices.Contains(given, v) && strings.HasPrefix(done+v, typed) {
				out = append(out, done+v)
			}
		}
		if len(out) == 1 && strings.HasSuffix(out[0], "=") { // jsonpath= goes on
			return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	// An error only says that it is registered already, by its command alone or, a persistent flag, from another one.
	_ = cmd.RegisterFlagCompletionFunc(flag, complete)
}

// several reports whether a flag takes several values.
func several(cmd *cobra.Command, flag string) bool {
	f := cmd.Flag(flag)
	_, list := f.Value.(pflag.SliceValue)
	return list
}

// choices are the values of a flag in its usage: "Must be one of: full, access."
var (
	choices    = regexp.MustCompile(`Must be one of: ([^.;]+)`)
	inBrackets = regexp.MustCompile(` \([^)]*\)`)
)

// CompleteChoices lets the shell complete every flag whose usage says what it must be one of. A word in brackets explains the one before; of a word
// such as jsonpath=TEMPLATE, the part that is always the same is offered.
func CompleteChoices(root *cobra.Command) {
	each(root, func(cmd *cobra.Command) {
		for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
			flags.VisitAll(func(f *pflag.Flag) {
				if words := choicesOf(f.Usage); len(words) > 0 {
					completeFlag(cmd, f.Name, OneOf(words...))
				}
			})
		}
	})
}

// choicesOf are the words that the usage of a flag says it must be one of; none if it does not say so.
func choicesOf(usage string) []string {
	list := choices.FindStringSubmatch(inBrackets.ReplaceAllString(usage, ""))
	if list == nil {
		return nil
	}
	var words []string
	for word := range strings.SplitSeq(list[1], ", ") {
		word, _, _ = strings.Cut(word, " ")
		if name, _, template := strings.Cut(word, "="); template {
			word = name + "="
		}
		words = append(words, word)
	}
	return words
}

// OneOf lists the values that a flag takes, for CompleteFlag.
func OneOf(values ...string) func(context.Context) []string {
	return func(context.Context) []string { return values }
}

// CompleteArgs lets the shell complete the arguments of a command: list is given those that are there already.
func CompleteArgs(root *cobra.Command, name string, list func(ctx context.Context, args []string) []string) {
	each(root, func(cmd *cobra.Command) {
		if cmd.Name() != name {
			return
		}
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			var out []string
			for _, v := range list(contextOf(cmd), args) {
				if strings.HasPrefix(v, typed) && !slices.Contains(args, v) {
					out = append(out, v)
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		}
	})
}

// contextOf is the command's context, which is nil where a completion is asked for without one.
func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// each visits root and all commands below it.
func each(root *cobra.Command, visit func(*cobra.Command)) {
	visit(root)
	for _, c := range root.Commands() {
		each(c, visit)
	}
}
