package cmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/replace"
)

func newSync(e *kernel.Env) *cobra.Command {
	f := kernel.NewWriteFlags(pki.FieldManager)
	var (
		from   string
		to     []string
		toAll  bool
		copies string
		seal   sealFlags
	)
	cmd := &cobra.Command{
		Use:   "sync --from CLUSTER (--to CLUSTER,... | --to-all)",
		Short: "Copy one cluster's CA to other clusters",
		Long: "Copy the CA of one cluster, Secret cilium-ca with its key, to other clusters.\n\n" +
			"The CA is validated first: it parses, its key fits, it is a CA and stays valid. The plan is shown and\n" +
			"checked in every target; nothing is written unless it can be carried out in all of them. The former\n" +
			"CA of each target is kept beside it in an immutable Secret. Helm's ownership of the target's Secret\n" +
			"stays as it is. Replacing a CA is always confirmed. --backup-file also writes the former CAs, encrypted,\n" +
			"to a file of this machine.\n\n" +
			"A copied CA changes nothing by itself: certificates stay signed by the former CA until they are\n" +
			"renewed. The commands for that are listed for each cluster." + kernel.WriteExits,
		Example: `  # Give eu and ap the CA of us
  kubectl mesh-ca sync --from us --to eu,ap --contexts kind-us,kind-eu,kind-ap

  # See what would be done, checked by every API server
  kubectl mesh-ca sync --from us --to-all --dry-run=server

  # Keep the former CAs in an encrypted file too
  kubectl mesh-ca sync --from us --to eu --backup-file former.age

  # In a script
  kubectl mesh-ca sync --from us --to-all --yes -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case from == "":
				return errors.New("--from is missing; it names the cluster whose CA is copied")
			case len(to) == 0 && !toAll:
				return errors.New("--to is missing; name the clusters that get the CA, or use --to-all")
			case len(to) > 0 && toAll:
				return errors.New("--to and --to-all cannot be used together")
			}
			c, err := config(e, f)
			if err != nil {
				return err
			}
			sc := replace.SyncConfig{Config: c, From: from, To: to}
			switch {
			case copies != "":
				if sc.BackupFile, err = seal.writer(e, "--backup-file", copies, c.DryRun != cli.DryRunNone); err != nil {
					return err
				}
			case seal.given():
				return errors.New("--passphrase-file and --recipient need --backup-file, the file that they encrypt")
			}
			report, err := replace.Sync(cmd.Context(), sc, f.UI(e))
			return printChange(e, f.Out, report, err)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "Cluster whose CA is copied, by Cilium name or context.")
	cmd.Flags().StringSliceVar(&to, "to", nil, "Clusters that get the CA, by Cilium name or context (repeatable).")
	cmd.Flags().BoolVar(&toAll, "to-all", false, "If true, all clusters that are read get the CA.")
	cmd.Flags().StringVar(&copies, "backup-file", "", "New file for an encrypted copy of every CA that is replaced, written before the first CA is replaced.")
	seal.addFlags(cmd.Flags())
	usages := writeUsages
	usages.AllowPartial = "If true, go on without clusters that cannot be reached or refuse."
	f.AddFlags(cmd.Flags(), usages)
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}
