// Package testkit runs the command lines of the plugins in tests, against members that the test makes.
package testkit

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
)

var update = flag.Bool("update", false, "write the golden files")

// Command is a command line in an environment of the test.
type Command struct {
	New     func(*kernel.Env) *cobra.Command
	Members []*clusters.Member // what the selection finds; nil for the plugin's own selection
	Now     time.Time          // the zero value for the time of the machine
	Stdin   string
}

// Result is what a command printed, and its exit code.
type Result struct {
	Code        int
	Out, ErrOut string
	Err         error
}

// Run runs the command line in a process without a terminal. A document that it prints must be as its schema says.
func (c Command) Run(ctx context.Context, t testing.TB, args ...string) Result {
	t.Helper()
	var out, errOut bytes.Buffer
	e := kernel.New(genericiooptions.IOStreams{In: strings.NewReader(c.Stdin), Out: &out, ErrOut: &errOut})
	if !c.Now.IsZero() {
		e.Now = func() time.Time { return c.Now }
	}
	if c.Members != nil {
		e.Find = func(context.Context, clusters.Found, ...string) (*clusters.Selection, error) {
			return &clusters.Selection{Members: c.Members}, nil
		}
	}
	root := c.New(e)
	root.SetArgs(args)
	r := Result{}
	r.Code, r.Err = cli.Execute(ctx, root, e.IOStreams)
	r.Out, r.ErrOut = out.String(), errOut.String()
	documents.Check(t, r.Out)
	return r
}

// Golden compares text with a file below testdata; with -update it writes the file. A document in it must be as its schema says.
func Golden(t testing.TB, name, got string) {
	t.Helper()
	documents.Check(t, got)
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", name, diff)
	}
}
