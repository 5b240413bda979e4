// Package cmd is the command line of kubectl mesh-svc: cobra and flags only.
// What a verb means is in globalsvc, how a result looks is in view.
package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
)

const display = globalsvc.Display

// env is what every command works with.
type env struct {
	genericiooptions.IOStreams
	flags *clusters.Flags
	mesh  commandline.Mesh   // the clusters that were selected, for the commands that are printed
	later *clusters.Warnings // what API servers warn of after the selection
}

// NewRoot returns kubectl mesh-svc.
func NewRoot(streams genericiooptions.IOStreams) *cobra.Command {
	e := &env{IOStreams: streams, flags: clusters.NewFlags()}
	root := cli.NewRoot(cli.Plugin{
		Binary:  "kubectl-mesh_svc",
		Display: display,
		Short:   "Show and change global services in all clusters of a Cilium Cluster Mesh",
		Long: "Show and change global services in all clusters of a Cilium Cluster Mesh.\n\n" +
			"Every command reads all clusters of the mesh. Those that write plan first, check in every\n" +
			"cluster that the plan can be carried out, and change all of them or none.",
		Example: `  # See the clusters of the mesh that the current context belongs to
  kubectl mesh-svc clusters

  # Make a Service global in all of them
  kubectl mesh-svc globalize nginx

  # See which cluster answers whom, and why
  kubectl mesh-svc describe nginx`,
	}, streams)
	e.flags.AddFlags(root.PersistentFlags())
	e.flags.Progress = func(line string) { output.Say(e.ErrOut, "%s", line) }
	e.flags.ServerProgress = output.IsTerminal(e.ErrOut)
	root.AddCommand(
		newClusters(e),
		newList(e),
		newDescribe(e),
		newCheck(e),
		newGraph(e),
		newGlobalize(e),
		newUnglobalize(e),
		newShare(e),
		newUnshare(e),
		newAffinity(e),
		newUndo(e),
		newDrain(e),
		newUndrain(e),
		newRBAC(e),
	)
	addCompletion(root, e)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return err })
	return root
}

// selectMembers finds the members and says on stderr what the user should know about the choice.
func (e *env) selectMembers(ctx context.Context) (*clusters.Selection, error) {
	sel, err := e.flags.Select(ctx)
	for _, w := range sel.Warnings {
		e.warn("%s", w)
	}
	if err != nil {
		return nil, err
	}
	for _, n := range sel.Notes {
		output.Say(e.ErrOut, "Note: %s", n)
	}
	e.later, e.mesh = sel.Later, clusters.CommandMesh(sel.Members)
	return sel, nil
}

func (e *env) warn(format string, args ...any) {
	output.Say(e.ErrOut, "Warning: "+format, args...)
}

// sayUnseen says what could not be seen for want of permission since the members were selected.
func (e *env) sayUnseen(members []*clusters.Member) {
	for _, line := range clusters.TakeUnseen(members) {
		e.warn("%s", line)
	}
}

// incomplete says which members could not be read and returns the exit code of a reading command for that.
// It returns nil when all were read.
func (e *env) incomplete(ctx context.Context, members []*clusters.Member) error {
	e.sayUnseen(members)
	var missing int
	for _, m := range members {
		if m.Err == nil {
			continue
		}
		missing++
		output.Unread(e.ErrOut, m.Label(), string(m.Err.Class), m.Err)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case missing == 0:
		return nil
	}
	return &cli.ExitError{Code: cli.ExitNoAnswer, Err: fmt.Errorf("%d of %d clusters could not be read; the result is not complete", missing, len(members))}
}

// parseSelector reads --selector before any cluster is asked; nil for none.
func parseSelector(s string) (labels.Selector, error) {
	if s == "" {
		return nil, nil
	}
	sel, err := labels.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("--selector: %w", err)
	}
	return sel, nil
}
