package cmd

import (
	"errors"

	"github.com/spf13/cobra"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/cleanup"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/helper"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/view"
)

func newCleanup(e *kernel.Env) *cobra.Command {
	w := kernel.NewWriteFlags(helper.Manager)
	all := false
	cmd := &cobra.Command{
		Use:   "cleanup [-n NAMESPACE | -A]",
		Short: "Delete the helper pods that probes have left",
		Long: "Find what probes with --client have left, such as after a kill -9 or a lost API server, and delete the\n" +
			"helper pods. The command shows them, and asks first. It only lists ephemeral containers, because\n" +
			"Kubernetes cannot remove them. Nothing keeps running for long: a helper ends when it gets no sign of\n" +
			"life from its probe.\n\n" +
			"The command also finds the helper pods of probes that are still running, of any user. If you delete the\n" +
			"helper pod of such a probe, the probe ends as incomplete." + kernel.WriteExits,
		Example: `  # What is left in the current namespace, in all clusters of the mesh
  kubectl mesh-probe cleanup --dry-run=server

  # Delete the helper pods in all namespaces of two clusters
  kubectl mesh-probe cleanup -A --contexts kind-us,kind-eu

  # In a script, without a prompt
  kubectl mesh-probe cleanup -n shop --yes`,
		Args: cli.NoArgs("--namespace or --all-namespaces says where to look"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all && ptr.Deref(e.Flags.Config.Namespace, "") != "" {
				return errors.New("--namespace and --all-namespaces cannot be used together")
			}
			c, err := w.Config(e)
			if err != nil {
				return err
			}
			report, err := cleanup.Run(cmd.Context(), cleanup.Config{Write: c, Select: e.Select, Namespace: e.Flags.Namespace, AllNamespaces: all}, w.UI(e))
			return printCleanup(e, w.Out, report, err)
		},
	}
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "If true, look in all namespaces.")
	w.AddFlags(cmd.Flags(), kernel.WriteUsages{
		Manager:      "Name of the field manager that admission webhooks see.",
		Yes:          "If true, do not ask.",
		AllowPartial: "If true, continue with the others if a helper pod cannot be deleted.",
	})
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}

func printCleanup(e *kernel.Env, out *output.Flags, r *cleanup.Report, failure error) error {
	if r == nil {
		return failure
	}
	if len(r.Changes) == 0 && len(r.EphemeralContainers) == 0 && out.IsList() {
		if failure == nil {
			e.Say("Nothing to clean up.")
		}
		return failure
	}
	var tables []output.Section
	if r.Begun {
		tables = view.Cleanup(r.ProbeCleanupReport)
	}
	return errors.Join(failure, e.PrintResult(out, r.ProbeCleanupReport, kernel.Names(r.ChangeReport), tables))
}
