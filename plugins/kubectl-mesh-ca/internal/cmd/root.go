// Package cmd is the command line of kubectl mesh-ca: cobra and flags only.
// What a verb means is in package ca, how a result looks is in package view.
package cmd

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

const display = "kubectl mesh-ca"

// env is what every command works with.
type env struct {
	genericiooptions.IOStreams
	flags *clusters.Flags
	now   func() time.Time
	// members finds the members; tests put their own in.
	members func(context.Context) (*clusters.Selection, error)
}

// NewRoot returns kubectl mesh-ca.
func NewRoot(streams genericiooptions.IOStreams) *cobra.Command {
	e := &env{IOStreams: streams, flags: clusters.NewFlags(), now: time.Now}
	e.members = e.flags.Select
	return newRoot(e)
}

func newRoot(e *env) *cobra.Command {
	root := cli.NewRoot(cli.Plugin{
		Binary:  "kubectl-mesh_ca",
		Display: display,
		Short:   "Show and copy the certificate authorities of a Cilium Cluster Mesh",
		Long: "Show and copy the certificate authorities of a Cilium Cluster Mesh.\n\n" +
			"Clusters accept one another when what each process presents is signed by what the other mounts as\n" +
			"its CA. Private keys are never printed, logged or put on a command line.",
		Example: `  # See the CA of every cluster, its leaf certificates and who trusts whom
  kubectl mesh-ca status --contexts kind-us,kind-eu,kind-ap

  # Give all clusters the CA of us
  kubectl mesh-ca sync --from us --to-all --contexts kind-us,kind-eu,kind-ap

  # Put the former CA of eu back
  kubectl mesh-ca restore --in eu --backup cilium-ca-backup-3f2a91bc --contexts kind-eu`,
	}, e.IOStreams)
	e.flags.AddFlags(root.PersistentFlags())
	e.flags.Progress = func(line string) { e.say("%s", line) }
	e.flags.ServerProgress = output.IsTerminal(e.ErrOut)
	root.AddCommand(newStatus(e), newSync(e), newRestore(e), newRBAC(e))
	for flag, list := range map[string]func(context.Context) []string{
		"contexts": e.flags.ContextNames, "context": e.flags.ContextNames, "from": e.flags.MemberNames, "to": e.flags.MemberNames, "in": e.flags.MemberNames,
	} {
		cli.CompleteFlag(root, flag, list)
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return err })
	return root
}

// selectMembers finds the members and says on stderr what the user should know about the choice.
func (e *env) selectMembers(ctx context.Context) (*clusters.Selection, error) {
	sel, err := e.members(ctx)
	for _, w := range sel.Warnings {
		e.say("Warning: %s", w)
	}
	if err != nil {
		return nil, err
	}
	for _, n := range sel.Notes {
		e.say("Note: %s", n)
	}
	return sel, nil
}

// say writes one line to stderr, without control characters.
func (e *env) say(format string, args ...any) {
	output.Say(e.ErrOut, format, args...)
}

// dead says which members could not be read and returns their names.
func (e *env) dead(members []*clusters.Member) []string {
	var names []string
	for _, m := range members {
		if m.Err != nil {
			output.Unread(e.ErrOut, m.Label(), string(m.Err.Class), m.Err)
			names = append(names, m.Name)
		}
	}
	return names
}
