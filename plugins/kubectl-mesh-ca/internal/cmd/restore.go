package cmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/replace"
)

func newRestore(e *kernel.Env) *cobra.Command {
	f := kernel.NewWriteFlags(pki.FieldManager)
	var in, backup string
	cmd := &cobra.Command{
		Use:   "restore --in CLUSTER --backup NAME",
		Short: "Restore a previous CA",
		Long: "Restore a CA that sync kept in a Secret of the same cluster, exactly as it was. The current CA is\n" +
			"kept first, in the same way, so that you can undo the restore too. As after sync, the leaf\n" +
			"certificates must be renewed; the commands for that are listed.\n\n" +
			"Backups carry the label mesh.kubectl.io/backup-of=cilium-ca in Cilium's namespace." + kernel.WriteExits,
		Example: `  # Restore a backup
  kubectl mesh-ca restore --in eu --backup cilium-ca-backup-3f2a91bc --contexts kind-eu

  # See what would be done
  kubectl mesh-ca restore --in eu --backup cilium-ca-backup-3f2a91bc --dry-run=server

  # In a script
  kubectl mesh-ca restore --in eu --backup cilium-ca-backup-3f2a91bc --yes -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case in == "":
				return errors.New("--in is missing; it names the cluster whose CA is restored")
			case backup == "":
				return errors.New("--backup is missing; it names the Secret that holds the previous CA")
			}
			c, err := config(e, f)
			if err != nil {
				return err
			}
			report, err := replace.Restore(cmd.Context(), replace.RestoreConfig{Config: c, In: in, Backup: backup}, f.UI(e))
			return printChange(e, f.Out, report, err)
		},
	}
	cmd.Flags().StringVar(&in, "in", "", "Cluster whose CA is restored, by Cilium name or context.")
	cmd.Flags().StringVar(&backup, "backup", "", "Name of the Secret that holds the previous CA.")
	f.AddFlags(cmd.Flags(), writeUsages)
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}
