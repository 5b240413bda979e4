package cmd

import (
	"cmp"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drain"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

func newDrain(e *kernel.Env) *cobra.Command {
	f := kernel.NewWriteFlags(plugin.FieldManager)
	var skipRefused bool
	cmd := &cobra.Command{
		Use:   "drain CLUSTER",
		Short: "Take a cluster out of every global service, for maintenance",
		Long: "Take a cluster out of every global service, for maintenance: each Service that is global and shared there,\n" +
			"in all namespaces, gets service.cilium.io/shared: \"false\", so that new connections of clients in other\n" +
			"clusters no longer go to it. Its own clients still use its endpoints.\n\n" +
			"The command shows how traffic will shift, and asks. It refuses if clients of another cluster would be left\n" +
			"without a ready endpoint, if a reconciler owns the annotation, or if a cluster of the mesh cannot be read. The\n" +
			"previous values are stored in an annotation of each Service and in a ConfigMap of another cluster, where\n" +
			"undrain finds them from any machine. If a drain was interrupted, run it again to continue." + kernel.WriteExits,
		Example: `  # Take us out of service; it shows what that does to the traffic and asks
  kubectl mesh-svc drain us

  # See it without doing it
  kubectl mesh-svc drain us --dry-run=server -o wide

  # Leave Services as they are that only us can answer, and drain the rest
  kubectl mesh-svc drain us --skip-refused

  # Go on after an interruption, or take in Services that became global since
  kubectl mesh-svc drain us --yes`,
		Args: exactlyOne("CLUSTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("namespace") {
				return fmt.Errorf("--namespace (-n) cannot be used with drain, which works on all namespaces; to take the Services of one out of service, run: %s",
					commandline.Plugin(display, e.Flags.CommandMesh(), e.Flags.Namespace(nil), "unshare", "--all", "--in", args[0]))
			}
			c, err := drainConfig(e, f, args[0])
			if err != nil {
				return err
			}
			c.SkipRefused = skipRefused
			report, err := drain.Run(cmd.Context(), c, f.UI(e))
			return printDrain(e, f.Out, report, err)
		},
	}
	f.AddFlags(cmd.Flags(), kernel.WriteUsages{
		Manager:        managerUsage,
		Yes:            "If true, do not ask.",
		AllowPartial:   "If true, go on although the command cannot determine whether clients would be left without an endpoint.",
		ForceConflicts: "If true, also change annotations that a reconciler such as Argo CD, Flux or Helm owns.",
	})
	cmd.Flags().BoolVar(&skipRefused, "skip-refused", false, "If true, leave Services as they are that cannot be drained, list them and drain the rest. The exit code is then 1.")
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}

// drainConfig is what drain and undrain have in common.
func drainConfig(e *kernel.Env, f *kernel.WriteFlags, cluster string) (drain.Config, error) {
	w, err := f.Config(e)
	if err != nil {
		return drain.Config{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown machine"
	}
	return drain.Config{Write: w, Select: e.Select, Cluster: cluster, Host: host, Now: e.Now}, nil
}

// printDrain prints what became of each Service, and what can be done next.
func printDrain(e *kernel.Env, out *output.Flags, r *drain.Report, failure error) error {
	if r == nil {
		return failure
	}
	var tables []output.Section
	if r.Begun && len(r.Changes) > 0 {
		tables = view.Drain(r.DrainReport, noteGrouped(e, out, r.ChangeReport))
	}
	err := e.PrintResult(out, r.DrainReport, kernel.Names(r.ChangeReport), tables)
	if r.Begun {
		for _, line := range r.Lines {
			e.Say("%s", line)
		}
	}
	return cmp.Or(failure, err)
}
