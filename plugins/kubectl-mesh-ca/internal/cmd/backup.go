package cmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/archive"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/backup"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

func newBackup(e *kernel.Env) *cobra.Command {
	out := output.NewFlags()
	var (
		in   []string
		all  bool
		file string
		seal sealFlags
	)
	cmd := &cobra.Command{
		Use:   "backup (--in CLUSTER,... | --all) -f FILE [--passphrase-file FILE | --recipient AGE1...]",
		Short: "Copy CAs with their keys into one encrypted file",
		Long: "Copy the CA of one or several clusters, Secret cilium-ca with its key, into one new file that is\n" +
			"encrypted with age (age-encryption.org). No cluster is changed. The file is readable by its owner only,\n" +
			"has a checksum, and never replaces another one. If one cluster cannot be read, no file is written.\n\n" +
			"Without --recipient the file opens with a passphrase: you type it twice and it is not shown, or it is\n" +
			"the only line of --passphrase-file. It is never an argument, and never in the environment. Whoever has\n" +
			"the file and what opens it can sign certificates that the clusters trust: store the two apart.\n\n" +
			"Exit codes: 0 the file was written; 1 anything else; 130 interrupted.",
		Example: `  # All clusters of the mesh, with a prompt for the passphrase
  kubectl mesh-ca backup --all -f cas.age

  # Two clusters, for the key of the team
  kubectl mesh-ca backup --in us,eu -f cas.age --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p

  # In a script
  kubectl mesh-ca backup --all -f cas.age --passphrase-file /run/secrets/passphrase -o json`,
		Args: cli.NoArgs("--in names the clusters, -f the file"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case len(in) == 0 && !all:
				return errors.New("--in is missing; name the clusters whose CAs are copied, or use --all")
			case len(in) > 0 && all:
				return errors.New("--in and --all cannot be used together")
			case file == "":
				return errors.New("--file is missing; it names the new file, such as -f cas.age")
			}
			if err := out.Validate(); err != nil {
				return err
			}
			w, err := seal.writer(e, "--file", file, false)
			if err != nil {
				return err
			}
			report, err := backup.Run(cmd.Context(), backup.Config{Select: e.Select, Timeout: e.Flags.Timeout, Now: e.Now, In: in, File: w}, e)
			return printBackup(e, out, report, err)
		},
	}
	cmd.Flags().StringSliceVar(&in, "in", nil, "Clusters whose CAs are copied, by Cilium name or context (repeatable).")
	cmd.Flags().BoolVar(&all, "all", false, "If true, the CAs of all clusters that are read are copied.")
	cmd.Flags().StringVarP(&file, "file", "f", "", "New file for the encrypted CAs.")
	seal.addFlags(cmd.Flags())
	out.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}

// printBackup prints what was copied, and how to restore it.
func printBackup(e *kernel.Env, out *output.Flags, r *v1alpha1.CABackupReport, failure error) error {
	switch {
	case r == nil, failure != nil && out.IsTable():
		return failure
	}
	if err := out.Print(e.Out, r, view.Backup(*r, e.Now())); err != nil || failure != nil {
		return errors.Join(failure, err)
	}
	e.Say("")
	e.Say("Wrote %s (mode %#o). It opens with %s; without that, nobody can restore it.", r.File, modePrivate, opener(r.OpensWith))
	if r.OpensWith == string(archive.NeedIdentity) {
		e.Say("To restore a CA from it, run one of these, with --identity FILE for the secret key:")
	} else {
		e.Say("To restore a CA from it, run:")
	}
	for _, command := range r.RestoreCommands {
		e.Say("  %s", command)
	}
	return nil
}

// opener says what opens a file.
func opener(need string) string {
	if need == string(archive.NeedIdentity) {
		return "the secret key of a recipient"
	}
	return "the passphrase"
}
