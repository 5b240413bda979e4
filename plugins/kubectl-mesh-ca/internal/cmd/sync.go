package cmd

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/replace"
)

// syncFlags are what the user typed.
type syncFlags struct {
	from       string
	to         []string
	toAll      bool
	backupFile string
	seal       sealFlags
	reissue    bool
	means      meansFlags
}

func (f *syncFlags) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.from, "from", "", "Cluster whose CA is copied, by Cilium name or context.")
	fs.StringSliceVar(&f.to, "to", nil, "Clusters that get the CA, by Cilium name or context (repeatable).")
	fs.BoolVar(&f.toAll, "to-all", false, "If true, all clusters that are read get the CA.")
	fs.StringVar(&f.backupFile, "backup-file", "", "New file for an encrypted copy of every CA that is replaced, written before the first CA is replaced.")
	f.seal.addFlags(fs)
	fs.BoolVar(&f.reissue, "reissue", false, "If true, also issue the leaf certificates of all these clusters again, with the tool that issues them.")
	f.means.addFlags(fs)
}

// check returns the mistake in the flags, if any.
func (f *syncFlags) check() error {
	switch {
	case f.from == "":
		return errors.New("--from is missing; it names the cluster whose CA is copied")
	case len(f.to) == 0 && !f.toAll:
		return errors.New("--to is missing; name the clusters that get the CA, or use --to-all")
	case len(f.to) > 0 && f.toAll:
		return errors.New("--to and --to-all cannot be used together")
	case f.backupFile == "" && f.seal.given():
		return errors.New("--passphrase-file and --recipient need --backup-file, the file that they encrypt")
	case !f.reissue && (f.means.helm || f.means.restart):
		return errors.New("--helm and --restart need --reissue: they concern what follows the leaf certificates")
	}
	return nil
}

// config returns what the use case gets.
func (f *syncFlags) config(e *kernel.Env, w *kernel.WriteFlags) (replace.SyncConfig, error) {
	c, err := config(e, w)
	if err != nil {
		return replace.SyncConfig{}, err
	}
	out := replace.SyncConfig{Config: c, From: f.from, To: f.to}
	if f.reissue {
		words := []string{"sync", "--from", f.from, "--to-all", "--reissue"}
		if len(f.to) > 0 {
			words = []string{"sync", "--from", f.from, "--to", commandline.List(f.to...), "--reissue"}
		}
		means, err := f.means.means(e, append(words, c.RetryFlags...)...)
		if err != nil {
			return out, err
		}
		out.Reissue = &means
	}
	if f.backupFile != "" {
		out.BackupFile, err = f.seal.writer(e, "--backup-file", f.backupFile, c.DryRun != cli.DryRunNone)
	}
	return out, err
}

func newSync(e *kernel.Env) *cobra.Command {
	w := kernel.NewWriteFlags(pki.FieldManager)
	var f syncFlags
	cmd := &cobra.Command{
		Use:   "sync --from CLUSTER (--to CLUSTER,... | --to-all)",
		Short: "Copy one cluster's CA to other clusters",
		Long: "Copy the CA of one cluster, Secret cilium-ca with its key, to other clusters.\n\n" +
			"The command validates the CA first: it parses, its key matches, it is a CA and stays valid. It shows the\n" +
			"plan and checks it in every target, and writes nothing unless every check passes. It keeps the former CA\n" +
			"of each target in an immutable Secret, and does not change Helm's ownership of the target's Secret. It\n" +
			"always asks before it replaces a CA. --backup-file also writes the former CAs, encrypted, to a file on\n" +
			"this machine.\n\n" +
			"A copied CA changes nothing by itself: certificates stay signed by the former CA until they are\n" +
			"issued again. The command prints the steps for each cluster. With --reissue and --restart, it carries\n" +
			"them out: it issues the leaf certificates of all these clusters again, then restarts\n" +
			"clustermesh-apiserver in one cluster after the other, and the agents last." + kernel.WriteExits,
		Example: `  # Give eu and ap the CA of us
  kubectl mesh-ca sync --from us --to eu,ap --contexts kind-us,kind-eu,kind-ap

  # See what would be done, checked by every API server
  kubectl mesh-ca sync --from us --to-all --dry-run=server

  # Keep the former CAs in an encrypted file too
  kubectl mesh-ca sync --from us --to eu --backup-file former.age

  # Connect clusters of different CAs: copy the CA, issue certificates again, restart
  kubectl mesh-ca sync --from us --to eu,ap --reissue --restart --helm

  # In a script
  kubectl mesh-ca sync --from us --to-all --yes -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			c, err := f.config(e, w)
			if err == nil && f.reissue && c.AllowPartial {
				err = errors.New("--reissue and --allow-partial cannot be used together: every cluster must have the CA before one is issued certificates from it")
			}
			if err != nil {
				return err
			}
			report, err := replace.Sync(cmd.Context(), c, w.UI(e))
			return printChange(e, w.Out, report, err)
		},
	}
	f.addFlags(cmd.Flags())
	usages := writeUsages
	usages.AllowPartial = "If true, go on without clusters that cannot be reached or refuse."
	w.AddFlags(cmd.Flags(), usages)
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}
