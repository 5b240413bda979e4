package cmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/replace"
)

// restoreFlags are what the user typed.
type restoreFlags struct {
	in, backup, file, from string
	open                   openFlags
}

// check returns the mistake in the flags, if any.
func (f *restoreFlags) check() error {
	switch {
	case f.in == "":
		return errors.New("--in is missing; it names the cluster whose CA is restored")
	case f.backup == "" && f.file == "":
		return errors.New("--backup is missing; it names the Secret that holds the previous CA. For a backup file, use --file")
	case f.backup != "" && f.file != "":
		return errors.New("--backup and --file cannot be used together")
	case f.file == "" && (f.from != "" || f.open.given()):
		return errors.New("--from, --passphrase-file and --identity need --file, the file that they apply to")
	}
	return nil
}

func newRestore(e *kernel.Env) *cobra.Command {
	w := kernel.NewWriteFlags(pki.FieldManager)
	var f restoreFlags
	cmd := &cobra.Command{
		Use:   "restore --in CLUSTER (--backup NAME | --file FILE)",
		Short: "Restore a previous CA",
		Long: "Restore a CA exactly as it was: from a Secret of the same cluster in which sync kept it, or from a file\n" +
			"that backup or sync --backup-file wrote. The current CA is kept first, so that you can undo the restore\n" +
			"too. As after sync, the leaf certificates must be issued again; the command prints the steps.\n\n" +
			"The command refuses a file that other users can read. It asks for the passphrase without showing it, or\n" +
			"reads it from a file. A cluster that was rebuilt and has no Cilium yet can get its CA from a file,\n" +
			"with --cilium-namespace. \"kubectl mesh-ca backups\" lists the Secrets." + kernel.WriteExits,
		Example: `  # Restore a backup
  kubectl mesh-ca restore --in eu --backup cilium-ca-backup-3f2a91bc --contexts kind-eu

  # Restore from a file, with a prompt for its passphrase
  kubectl mesh-ca restore --in eu --file cas.age

  # See what would be done
  kubectl mesh-ca restore --in eu --backup cilium-ca-backup-3f2a91bc --dry-run=server

  # In a script
  kubectl mesh-ca restore --in eu --file cas.age --identity key.txt --yes -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			c, err := config(e, w)
			if err != nil {
				return err
			}
			rc := replace.RestoreConfig{Config: c, In: f.in, Backup: f.backup, From: f.from}
			if f.file != "" {
				if rc.File, err = f.open.reader(e, f.file); err != nil {
					return err
				}
			}
			report, err := replace.Restore(cmd.Context(), rc, w.UI(e))
			return printChange(e, w.Out, report, err)
		},
	}
	cmd.Flags().StringVar(&f.in, "in", "", "Cluster whose CA is restored, by Cilium name or context.")
	cmd.Flags().StringVar(&f.backup, "backup", "", "Name of the Secret that holds the previous CA.")
	cmd.Flags().StringVar(&f.file, "file", "", "Encrypted file that holds the previous CA.")
	cmd.Flags().StringVar(&f.from, "from", "", "Cluster whose CA is taken from --file. Defaults to the cluster of --in.")
	f.open.addFlags(cmd.Flags())
	w.AddFlags(cmd.Flags(), writeUsages)
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}
