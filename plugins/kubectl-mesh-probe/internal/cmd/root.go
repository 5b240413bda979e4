// Package cmd is the command line of kubectl mesh-probe: it parses flags into one config, calls probe.Run, and prints the report.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/view"
)

const display = "kubectl mesh-probe"

const long = `Call a Service many times from a client pod and count which cluster of the mesh answered.

The requests run inside the pod, with its own curl or wget, through one exec stream. Each request
opens a new connection, because Cilium picks a backend for each connection. Names and addresses in
the reply identify the cluster that answered. The table compares its share with the share that
mesh-svc describe predicts. The command changes nothing and installs nothing in the pod.

Exit codes: 0 complete, and every expectation is met; 1 an expectation is missed; 2 wrong usage, a
pod that cannot be used, an incomplete run, no answer, or an inconclusive check; 130 interrupted
(the result is partial).`

const example = `  # Who answers the pods of deployment client
  kubectl mesh-probe http://nginx --from deploy/client

  # The same from every cluster, as a matrix
  kubectl mesh-probe http://nginx --from deploy/client --from-clusters all

  # In CI: check that the shares are as predicted, once the prediction has been stable for 5 seconds
  kubectl mesh-probe nginx:80 --from deploy/client --count 1000 --expect-prediction --settle 5s

  # Check your own expectations; a value in the body identifies the cluster
  kubectl mesh-probe http://nginx --from deploy/client --identify body='"Cluster": "(\S+)"' --map Cluster-1=us --expect only=us --expect 'errors<1%'

  # In a script
  kubectl mesh-probe http://nginx --from deploy/client -o jsonpath='{.clients[0].answers[?(@.name=="eu")].share}'`

// NewRoot returns kubectl mesh-probe.
func NewRoot(streams genericiooptions.IOStreams) *cobra.Command { return New(kernel.New(streams)) }

// New returns kubectl mesh-probe in an environment.
func New(e *kernel.Env) *cobra.Command {
	f, out := newFlags(), output.NewFlags()
	root := cli.NewRoot(cli.Plugin{
		Binary:  "kubectl-mesh_probe",
		Display: display,
		Short:   "Count which cluster of a Cilium Cluster Mesh answers",
		Long:    long,
		Example: example,
	}, e.IOStreams)
	e.Attach(root)
	f.addFlags(root.Flags())
	out.AddFlags(root.Flags())

	root.AddCommand(newRBAC(e))
	e.Complete(root, "from-clusters")

	// Unlike the other plugins, the root itself is the command.
	root.Use += " (URL | SERVICE[:PORT]) --from TYPE/NAME"
	root.Annotations[cobra.CommandDisplayNameAnnotation] = display
	root.DisableFlagsInUseLine = true
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "(and .HasParent .HasAvailableLocalFlags)", ".HasAvailableLocalFlags", 1))
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 || len(args) == 0 && cmd.Flags().NFlag() == 0 {
			return nil
		}
		return fmt.Errorf("a URL or SERVICE[:PORT] is required; got %d arguments%s", len(args), strings.TrimSuffix(": "+strings.Join(args, " "), ": "))
	}
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		f.countGiven = cmd.Flags().Changed("count")
		cfg, err := f.config(args[0], e.Flags)
		if err != nil {
			return err
		}
		if err := out.Validate(); err != nil {
			return err
		}
		return runProbe(cmd.Context(), e, out, cfg)
	}
	return root
}

// runProbe runs the probe and prints its report.
func runProbe(ctx context.Context, e *kernel.Env, out *output.Flags, cfg probe.Config) error {
	report, err := probe.Run(ctx, cfg, ui{e.ErrOut})
	if report == nil {
		return err
	}
	if err := out.Print(e.Out, report.Document, view.Sections(report.Document)); err != nil {
		return err
	}
	if report.Hint != "" {
		e.Say("%s", report.Hint)
	}
	e.Unread(report.Unread...)
	return exitError(err)
}

// exitError gives a failed probe its exit code.
func exitError(err error) error {
	var f *probe.ResultError
	switch {
	case !errors.As(err, &f):
		return err
	case f.Interrupted:
		return &cli.ExitError{Code: cli.ExitInterrupted, Err: err}
	case f.Missed:
		return &cli.ExitError{Code: cli.ExitFailure, Err: err}
	}
	return &cli.ExitError{Code: cli.ExitNoAnswer, Err: err}
}
