// Package clitest checks the help of a plugin's commands. Only tests import it.
package clitest

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/cmd/util/sanity"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
)

// CheckHelp holds every command of a tree to kubectl's and to the house's rules: flags that kubectl's own
// check accepts, values of -o that the shell completes, a Short that begins with a capital and ends without a full stop, a Long, and examples that the tree itself can parse.
func CheckHelp(t *testing.T, root *cobra.Command) {
	t.Helper()
	display := root.DisplayName()
	visit(root, func(cmd *cobra.Command) {
		if cmd.Name() == "help" {
			return
		}
		path := cmd.CommandPath()
		for _, err := range sanity.CheckFlags(cmd) {
			t.Errorf("%s: %v", path, err)
		}
		if s := cmd.Short; s == "" || strings.ToUpper(s[:1]) != s[:1] || strings.HasSuffix(s, ".") {
			t.Errorf("%s: Short %q", path, s)
		}
		if cmd.Long == "" {
			t.Errorf("%s: no Long", path)
		}
		if cmd.Example == "" {
			t.Errorf("%s: no Example", path)
		}
		checkOutput(t, cmd)
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			checkExample(t, root, cmd, display, strings.TrimSpace(line))
		}
	})
}

// checkOutput fails if the shell does not offer for -o what the help of the command says.
func checkOutput(t *testing.T, cmd *cobra.Command) {
	t.Helper()
	f := cmd.Flags().Lookup("output")
	if f == nil {
		return
	}
	var got []string
	if complete, ok := cmd.GetFlagCompletionFunc("output"); ok {
		got, _ = complete(cmd, nil, "")
	}
	if _, want, _ := strings.Cut(strings.TrimSuffix(f.Usage, "."), "Must be one of: "); want != strings.Join(got, ", ") {
		t.Errorf("%s: for -o, the shell offers %q, and the help says %q", cmd.CommandPath(), got, want)
	}
}

// CheckWidth fails for every line of help, flags included, that is wider than 100 columns, and in a list of commands, which is not wrapped, wider than 80.
func CheckWidth(t *testing.T, newRoot func(genericiooptions.IOStreams) *cobra.Command) {
	t.Helper()
	var paths [][]string
	visit(newRoot(genericiooptions.NewTestIOStreamsDiscard()), func(cmd *cobra.Command) {
		paths = append(paths, append(path(cmd), "--help"))
		if n := len("  ") + cmd.NamePadding() + len(" ") + utf8.RuneCountInString(cmd.Short); cmd.HasParent() && n > 80 {
			t.Errorf("%s: %d columns in the list of commands", cmd.CommandPath(), n)
		}
	})
	for _, path := range append(paths, []string{"options"}) {
		streams, _, out, _ := genericiooptions.NewTestIOStreams()
		root := newRoot(streams)
		root.SetArgs(path)
		if err := root.Execute(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if out.Len() == 0 {
			t.Errorf("%s: no help", path)
		}
		checkLines(t, strings.Join(path, " "), out.String(), 100, func(string) bool { return false })
	}
	visit(newRoot(genericiooptions.NewTestIOStreamsDiscard()), func(cmd *cobra.Command) {
		// An argument of an example is not cut.
		checkLines(t, cmd.CommandPath(), cli.Help(cmd, 80), 80, func(line string) bool {
			return strings.HasPrefix(line, "    -") || strings.HasPrefix(line, "  kubectl ")
		})
	})
}

// checkLines fails for every line of a text that is too wide, unless it may be.
func checkLines(t *testing.T, name, text string, width int, may func(line string) bool) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width && !may(line) {
			t.Errorf("%s: %d columns of %d: %s", name, n, width, line)
		}
	}
}

// checkExample finds the command and parses the flags of one example line.
func checkExample(t *testing.T, root, cmd *cobra.Command, display, line string) {
	t.Helper()
	if line == "" || strings.HasPrefix(line, "#") {
		return
	}
	rest, ok := strings.CutPrefix(line, display+" ")
	if !ok {
		t.Errorf("%s: example %q does not begin with %q", cmd.CommandPath(), line, display)
		return
	}
	found, args, err := root.Find(words(rest))
	if err != nil {
		t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
		return
	}
	if cmd != root && found != cmd {
		t.Errorf("%s: example %q runs %s", cmd.CommandPath(), line, found.CommandPath())
	}
	if err := found.ParseFlags(args); err != nil {
		t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
	}
}

// words splits a line as a shell would, as far as examples need it: quotes, and an end at a pipe or redirection.
func words(line string) []string {
	var out []string
	var b strings.Builder
	quote, open := rune(0), false
	flush := func() {
		if open {
			out = append(out, b.String())
		}
		b.Reset()
		open = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			b.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ':
			flush()
		case r == '|' || r == '>' || r == '&' || r == ';' || r == '#':
			flush()
			return out
		default:
			open = true
			b.WriteRune(r)
		}
	}
	flush()
	return out
}

func visit(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		visit(c, f)
	}
}
