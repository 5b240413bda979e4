// Package cmd is the command line of kubectl mesh-probe: cobra and flags, and the order
// in which members are read, pods are found and the probe is run. What a reply or a
// tally means is in probe, how a result looks is in view.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

const display = "kubectl mesh-probe"

// env is what the command works with.
type env struct {
	genericiooptions.IOStreams
	clusters *clusters.Flags
	out      *output.Flags
}

const long = `Call a Service many times from a client pod and count which cluster of the mesh answered.

The requests run inside the pod, with the curl or wget that it has, through one exec stream; each
opens a new connection, because Cilium picks a backend for each connection. Who answered is
recognised by names and addresses in the reply, and shown beside the share that mesh-svc describe
predicts. Nothing is changed and nothing is installed in the pod.

Exit codes: 0 complete and every expectation met; 1 an expectation missed; 2 usage, a pod that
cannot be used, an incomplete run, no answer at all or an inconclusive check; 130 interrupted, with
what was counted.`

const example = `  # Who answers the pods of deployment client
  kubectl mesh-probe http://nginx --from deploy/client

  # The same from every cluster, as a matrix
  kubectl mesh-probe http://nginx --from deploy/client --from-clusters all

  # In CI: the shares must be those that mesh-svc describe predicts, once they are stable for 5 seconds
  kubectl mesh-probe nginx:80 --from deploy/client --count 1000 --expect-prediction --settle 5s

  # Assert something of your own; the body says who answered
  kubectl mesh-probe http://nginx --from deploy/client --identify body='"Cluster": "(\S+)"' --as Cluster-1=us --expect only=us --expect 'errors<1%'

  # For a script
  kubectl mesh-probe http://nginx --from deploy/client -o jsonpath='{.clients[0].answers[?(@.name=="eu")].share}'`

// NewRoot returns kubectl mesh-probe.
func NewRoot(streams genericiooptions.IOStreams) *cobra.Command {
	e := &env{IOStreams: streams, clusters: clusters.NewFlags(), out: output.NewFlags()}
	f := newFlags()
	root := cli.NewRoot(cli.Plugin{
		Binary:  "kubectl-mesh_probe",
		Display: display,
		Short:   "Count which cluster of a Cilium Cluster Mesh answers",
		Long:    long,
		Example: example,
	}, streams)
	e.clusters.AddFlags(root.PersistentFlags())
	e.clusters.Progress = func(line string) { output.Say(e.ErrOut, "%s", line) }
	e.clusters.ServerProgress = output.IsTerminal(e.ErrOut)
	f.addFlags(root.Flags(), e.clusters.Config.Impersonate)
	e.out.AddFlags(root.Flags())

	root.AddCommand(newRBAC(e))
	cli.CompleteFlag(root, "contexts", e.clusters.ContextNames)
	cli.CompleteFlag(root, "context", e.clusters.ContextNames)
	cli.CompleteFlag(root, "from-clusters", e.clusters.MemberNames)

	// Unlike its siblings this root is itself the command.
	root.Use += " (URL | SERVICE[:PORT]) --from TYPE/NAME"
	root.Annotations[cobra.CommandDisplayNameAnnotation] = display
	root.DisableFlagsInUseLine = true
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "(and .HasParent .HasAvailableLocalFlags)", ".HasAvailableLocalFlags", 1))
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return err })
	root.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 && cmd.Flags().NFlag() > 0:
			return errors.New("what to call is missing: a URL or SERVICE[:PORT]")
		case len(args) > 1:
			return fmt.Errorf("one URL or SERVICE[:PORT] is wanted, not %d: %s", len(args), strings.Join(args, " "))
		}
		return nil
	}
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		f.countGiven = cmd.Flags().Changed("count")
		o, err := f.toOptions(args[0])
		if err != nil {
			return err
		}
		if err := e.out.Validate(); err != nil {
			return err
		}
		return e.probe(cmd.Context(), o)
	}
	return root
}

func (e *env) warn(format string, args ...any) {
	output.Say(e.ErrOut, "Warning: "+format, args...)
}

func (e *env) note(format string, args ...any) {
	output.Say(e.ErrOut, format, args...)
}

// missing says which members could not be read and returns how many.
func (e *env) missing(_ context.Context, members []*clusters.Member) int {
	n := 0
	for _, m := range members {
		if m.Err != nil {
			n++
			output.Unread(e.ErrOut, m.Label(), string(m.Err.Class), m.Err)
		}
	}
	return n
}
