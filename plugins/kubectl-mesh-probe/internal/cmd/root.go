// Package cmd is the command line of kubectl mesh-probe: it parses flags into one config, calls probe.Run, and prints the report.
package cmd

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1/schema"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
)

const display = "kubectl mesh-probe"

const long = `Call a Service many times from a client pod and count which cluster of the mesh answered.

The requests run inside the pod, with its own curl or wget, through one exec stream. Each request
opens a new connection, because Cilium picks a backend for each connection. Names and addresses in
the reply identify the cluster that answered. The table compares the share of each cluster with the
share that mesh-svc describe predicts.

With several URLs, each client pod calls all of them in one run, from the same moment on. So you can
compare two Services, or two paths of one, during one event. --count and --rate apply to each URL.

The command changes nothing in the clusters, unless you add a helper with --client. The requests are
real, though: the Service handles each of them. The subcommand drill takes backends away.

Exit codes: 0 complete, and every expectation is met; 1 an expectation is missed; 2 wrong usage, no
answer, an incomplete run, an inconclusive check, or anything else that prevents an answer; 130
interrupted (the result is partial).`

const example = `  # Which clusters answer the pods of deployment client
  kubectl mesh-probe http://nginx --from deploy/client

  # The same from every cluster, as a matrix
  kubectl mesh-probe http://nginx --from deploy/client --from-clusters all

  # A client pod without curl and wget: send from an ephemeral container in it, or from a helper pod
  kubectl mesh-probe http://nginx --from deploy/client --client=ephemeral --image curlimages/curl
  kubectl mesh-probe http://nginx --from deploy/client --client=pod --image curlimages/curl --same-node

  # From one pod on each node
  kubectl mesh-probe http://nginx --from ds/client --per-node

  # In CI: check that the shares are as predicted, once the prediction has been stable for 5 seconds
  kubectl mesh-probe nginx:80 --from deploy/client --count 1000 --expect-prediction --settle 5s

  # Check your own expectations; a value in the body identifies the cluster (quote < and > for the shell)
  kubectl mesh-probe http://nginx --from deploy/client --identify body='"Cluster": "(\S+)"' --map Cluster-1=us --expect only=us --expect 'errors<1%'

  # A Service that does not speak HTTP: only open connections, and see to which cluster they lead
  kubectl mesh-probe db:5432 --tcp --from deploy/client

  # Two paths of one Service during one event: same start, same marks, one timeline
  kubectl mesh-probe http://nginx/health http://nginx/work --from deploy/client --rate 20 --duration 30s --mark-on 'kubectl rollout restart deploy/nginx' --expect 'errors<1%,2:p99<250ms'

  # In a script: the share that eu answered
  kubectl mesh-probe http://nginx --from deploy/client -o jsonpath='{.clients[0].answers[?(@.name=="eu")].share}'`

// NewRoot returns kubectl mesh-probe.
func NewRoot(streams genericiooptions.IOStreams) *cobra.Command { return New(kernel.New(streams)) }

// New returns kubectl mesh-probe in an environment.
func New(e *kernel.Env) *cobra.Command {
	f, keep, out := newFlags(), &keepFlags{}, newReportOutput()
	root := cli.NewRoot(cli.Plugin{
		Binary:  "kubectl-mesh_probe",
		Display: display,
		Short:   "Count which cluster of a Cilium Cluster Mesh answers",
		Long:    long,
		Example: example,
		Schemas: schema.MeshProbe(),
	}, e.IOStreams)
	e.Attach(root)
	f.addFlags(root.Flags())
	keep.addFlags(root.Flags())
	out.AddFlags(root.Flags())

	root.AddCommand(newDrill(e), newReport(e), newCompare(e), newMerge(e), newRBAC(e), newCleanup(e))

	// Unlike the other plugins, the root itself is the command.
	root.Use += " (URL | SERVICE[:PORT])... --from TYPE/NAME"
	root.Annotations[cobra.CommandDisplayNameAnnotation] = display
	root.DisableFlagsInUseLine = true
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "(and .HasParent .HasAvailableLocalFlags)", ".HasAvailableLocalFlags", 1))
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 || cmd.Flags().NFlag() == 0 {
			return nil
		}
		return errors.New("a URL or SERVICE[:PORT] is required; got 0 arguments")
	}
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		f.countGiven, f.dataGiven = cmd.Flags().Changed("count"), cmd.Flags().Changed("data")
		cfg, err := f.config(args, e.Flags)
		if err != nil {
			return err
		}
		if err := out.Validate(); err != nil {
			return err
		}
		if err := keep.configure(&cfg, cmd.Flags().Changed); err != nil {
			return err
		}
		if why := cfg.Send.Overload(requestLimit(cfg)); why != "" {
			e.Note("%s; %s.", why, sender.LessLoad)
		}
		return runProbe(cmd.Context(), e, out, keep, cfg)
	}
	e.Complete(root, "from-clusters", "in")
	return root
}

// requestLimit is how many requests a client sends at most.
func requestLimit(cfg probe.Config) int {
	if d := cfg.Send.Duration; d > 0 {
		return int(d.Seconds() * cfg.Send.Rate)
	}
	return max(cfg.Send.Count, cfg.MaxCount)
}

// runProbe runs the probe, prints its report and keeps what is to be kept.
func runProbe(ctx context.Context, e *kernel.Env, out *output.Flags, keep *keepFlags, cfg probe.Config) error {
	kept, err := keep.open()
	if err != nil {
		return err
	}
	if kept != nil {
		cfg.Recorder = kept
	}
	if cfg.Clients.Helper != nil {
		cli.SurviveBrokenPipes() // the helper pods must be removed
	}
	report, err := probe.Run(ctx, cfg, &ui{out: e.ErrOut, watch: keep.watch})
	if report == nil {
		if kept != nil {
			kept.abandon()
		}
		return err
	}
	keep.showCommand(e)
	lost := keep.finish(kept, report.Document)
	if err := printReport(e, out, report.Document, report.Requests); err != nil {
		return err
	}
	if report.Hint != "" {
		e.Say("%s", report.Hint)
	}
	e.Unread(report.Unread...)
	return exitError(errors.Join(err, lost))
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
