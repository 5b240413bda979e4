package clitest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
)

// CheckSchema tries the command schema of a plugin: the list, every kind, an unknown one, and completion.
func CheckSchema(t *testing.T, newRoot func(genericiooptions.IOStreams) *cobra.Command, want ...string) {
	t.Helper()
	run := func(code int, args ...string) (string, string) {
		t.Helper()
		streams, _, out, errOut := genericiooptions.NewTestIOStreams()
		root := newRoot(streams)
		root.SetArgs(args)
		if got := cli.Main(t.Context(), root, streams); got != code {
			t.Errorf("%q: exit code %d, want %d: %s", args, got, code, errOut)
		}
		return out.String(), errOut.String()
	}
	list, _ := run(cli.ExitOK, "schema")
	var kinds []string
	for line := range strings.Lines(list) {
		kind, summary, _ := strings.Cut(line, " ")
		if strings.TrimSpace(summary) == "" || len(line) > 201 {
			t.Errorf("line %q", line)
		}
		kinds = append(kinds, kind)
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("the list has %q, want %q", kinds, want)
	}
	for _, kind := range want {
		out, _ := run(cli.ExitOK, "schema", kind)
		var doc struct{ Title, Type string }
		if err := json.NewDecoder(bytes.NewBufferString(out)).Decode(&doc); err != nil || doc.Title != kind || doc.Type != "object" {
			t.Errorf("schema of %s: %+v, %v", kind, doc, err)
		}
	}
	out, stderr := run(cli.ExitNoAnswer, "schema", "Nonsense")
	if line := `error: unknown kind "Nonsense"; must be one of: ` + strings.Join(want, ", ") + "\n"; out != "" || stderr != line {
		t.Errorf("got %q and %q, want %q", out, stderr, line)
	}
	run(cli.ExitNoAnswer, "schema", want[0], want[1])
	if out, _ := run(cli.ExitOK, "__complete", "schema", ""); out != strings.Join(want, "\n")+"\n:4\n" {
		t.Errorf("completes %q", out)
	}
	if out, _ := run(cli.ExitOK, "__complete", "schema", want[0], ""); out != ":4\n" {
		t.Errorf("completes a second kind: %q", out)
	}
}
