package cmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drain"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
)

func newUndrain(e *kernel.Env) *cobra.Command {
	f := kernel.NewWriteFlags(plugin.FieldManager)
	var forget bool
	cmd := &cobra.Command{
		Use:   "undrain CLUSTER",
		Short: "Restore a drained cluster in every global service",
		Long: "Restore a drained cluster in every global service: each Service gets exactly the value that it had before the\n" +
			"drain, absent ones included. The command finds these values from any machine, even if the cluster was rebuilt or\n" +
			"the drain was interrupted. It leaves values that somebody changed since as they are, and lists them; the exit\n" +
			"code is then 1." + kernel.WriteExits,
		Example: `  # Restore us to service
  kubectl mesh-svc undrain us

  # See what would be restored
  kubectl mesh-svc undrain us --dry-run=server

  # Discard the recorded values of Services that do not exist in a rebuilt cluster
  kubectl mesh-svc undrain us --forget`,
		Args: exactlyOne("CLUSTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("namespace") {
				return errors.New("--namespace (-n) cannot be used with undrain, which works on all namespaces")
			}
			c, err := drainConfig(e, f, args[0])
			if err != nil {
				return err
			}
			c.Forget = forget
			report, err := drain.Restore(cmd.Context(), c, f.UI(e))
			return printDrain(e, f.Out, report, err)
		},
	}
	f.AddFlags(cmd.Flags(), kernel.WriteUsages{
		Manager:        managerUsage,
		Yes:            "Accepted for symmetry with drain; undrain does not ask.",
		AllowPartial:   "If true, go on without clusters that cannot be read, with what the others and the Services themselves tell.",
		ForceConflicts: "If true, also change annotations that a reconciler such as Argo CD, Flux or Helm owns.",
	})
	cmd.Flags().BoolVar(&forget, "forget", false, "If true, also delete the recorded values of Services that no longer exist because the cluster was, or may have been, rebuilt.")
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}
