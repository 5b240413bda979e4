package clitest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
)

// CheckExits compares three things for every command of a plugin: the exit code of wrong usage, the exit codes that its help names, and the row of the plugin in
// the page about exit codes.
func CheckExits(t *testing.T, newRoot func(genericiooptions.IOStreams) *cobra.Command, page string) {
	t.Helper()
	root := newRoot(genericiooptions.NewTestIOStreamsDiscard())
	plugin := strings.TrimPrefix(root.DisplayName(), "kubectl ")
	var reading, writing []string
	visit(root, func(cmd *cobra.Command) {
		path := path(cmd)
		if !cmd.Runnable() || ofEveryPlugin(path) || cmd == root && !strings.Contains(cmd.Long, "Exit codes:") {
			return
		}
		name := "`" + strings.Join(append([]string{plugin}, path...), " ") + "`"
		_, exits, ok := strings.Cut(cmd.Long, "Exit codes:")
		writes := cli.IsWriting(cmd)
		want, list := cli.ExitNoAnswer, &reading
		if writes {
			want, list = cli.ExitFailure, &writing
		}
		*list = append(*list, name)
		if !ok || writes != strings.Contains(exits, "1 anything else") || writes == strings.Contains(exits, " 2 ") {
			t.Errorf("%s: wrong usage exits with %d, but the help says:%s", name, want, exits)
		}
		streams := genericiooptions.NewTestIOStreamsDiscard()
		fresh := newRoot(streams)
		fresh.SetArgs(append(path, "--no-such-flag"))
		if got := cli.Main(t.Context(), fresh, streams); got != want {
			t.Errorf("%s: wrong usage exits with %d, want %d", name, got, want)
		}
	})
	slices.Sort(reading)
	slices.Sort(writing)
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	row := fmt.Sprintf("| %s | %s |\n", strings.Join(reading, ", "), strings.Join(writing, ", "))
	if !strings.Contains(string(raw), row) {
		t.Errorf("%s does not have this row for %s:\n%s", page, plugin, row)
	}
}

// ofEveryPlugin reports whether a command is one that every plugin has. These contact no cluster.
func ofEveryPlugin(path []string) bool {
	return len(path) > 0 && slices.Contains([]string{"help", "completion", "options", "schema", "version"}, path[0])
}

// path are the words that run a command, without the plugin.
func path(cmd *cobra.Command) []string {
	var out []string
	for c := cmd; c.HasParent(); c = c.Parent() {
		out = append([]string{c.Name()}, out...)
	}
	return out
}
