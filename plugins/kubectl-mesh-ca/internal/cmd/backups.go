package cmd

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/backup"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

func newBackups(e *kernel.Env) *cobra.Command {
	out := output.NewFlags().WithNames()
	var in []string
	cmd := &cobra.Command{
		Use:   "backups [--in CLUSTER,...]",
		Short: "List the CAs that were kept, and what still uses them",
		Long: "List the Secrets in which mesh-ca kept what it replaced (label mesh.kubectl.io/backup-of), and whether\n" +
			"anything still uses them. A kept CA is in use if a certificate file of any cluster that is read contains\n" +
			"a certificate of the same key, if a leaf certificate is signed by it, or if an etcd may still have it\n" +
			"loaded. -o wide and -o json name the files. All clusters are read, also with --in.\n\n" +
			"It needs permission to list Secrets in Cilium's namespace; no Secret is printed.\n\n" +
			"Exit codes: 0 complete; 2 usage, or something could not be read; 130 interrupted.",
		Example: `  # What is kept in the mesh of the current context
  kubectl mesh-ca backups

  # What uses the backups of one cluster
  kubectl mesh-ca backups --in eu -o wide

  # The backups that nothing uses
  kubectl mesh-ca backups -o jsonpath='{range .backups[?(@.state=="unused")]}{.cluster} {.name}{"\n"}{end}'`,
		Args: cli.NoArgs("--in names the clusters"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			return listBackups(cmd.Context(), e, out, in)
		},
	}
	cmd.Flags().StringSliceVar(&in, "in", nil, "Clusters whose backups are listed, by Cilium name or context (repeatable).")
	out.AddFlags(cmd.Flags())
	cmd.AddCommand(newPrune(e))
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func listBackups(ctx context.Context, e *kernel.Env, out *output.Flags, in []string) error {
	doc, members, err := backup.List(ctx, backup.ListConfig{Select: e.Select, Timeout: e.Flags.Timeout, In: in})
	if err != nil {
		return err
	}
	names := make([]string, len(doc.Backups))
	for i, k := range doc.Backups {
		names[i] = "secret/" + k.Name
	}
	if len(names) == 0 && out.IsList() && doc.Complete {
		e.Say("No backups found.")
		return nil
	}
	if err := e.PrintResult(out, doc, names, view.Kept(doc, e.Now())); err != nil {
		return err
	}
	if err := e.Incomplete(ctx, members); err != nil {
		return err
	}
	if !doc.Complete {
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: errors.New("not everything that may use a backup could be read; the result is not complete")}
	}
	return nil
}

// defaultKeep is how old a backup must be to be deleted, unless the user says otherwise: time enough to notice that a change went wrong.
const defaultKeep = lifetime(30 * 24 * time.Hour)

func newPrune(e *kernel.Env) *cobra.Command {
	w := kernel.NewWriteFlags(pki.FieldManager)
	var in []string
	olderThan := defaultKeep
	cmd := &cobra.Command{
		Use:   "prune [--in CLUSTER,...] [--older-than 30d]",
		Short: "Delete the kept CAs that nothing uses any more",
		Long: "Delete the Secrets with former CAs that nothing in any cluster uses any more: no certificate file contains\n" +
			"a certificate of their key, and no leaf certificate is signed by them. The key of such a CA is only a\n" +
			"risk. Everything is read again before the first deletion, and a deleted backup cannot be restored.\n\n" +
			"Nothing is deleted if anything that may use a backup could not be read, a peer without a context included,\n" +
			"or while a rotation is under way in one of the clusters." + kernel.WriteExits,
		Example: `  # See which backups would be deleted, and why the others would not
  kubectl mesh-ca backups prune --dry-run=server

  # Delete those that are older than a week
  kubectl mesh-ca backups prune --older-than 7d

  # After an emergency: delete the keys at once
  kubectl mesh-ca backups prune --older-than 0 --yes`,
		Args: cli.NoArgs("--in names the clusters"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := w.Config(e)
			if err != nil {
				return err
			}
			report, err := backup.Prune(cmd.Context(), backup.PruneConfig{Write: c, Select: e.Select, Now: e.Now, In: in, OlderThan: time.Duration(olderThan)}, w.UI(e))
			return printPruned(e, w.Out, report, err)
		},
	}
	cmd.Flags().StringSliceVar(&in, "in", nil, "Clusters whose backups are deleted, by Cilium name or context (repeatable). Defaults to all that are read.")
	cmd.Flags().Var(&olderThan, "older-than", "Minimum age of a backup that is deleted, such as 30d, 12h or 0.")
	usages := writeUsages
	usages.ForceConflicts = ""
	w.AddFlags(cmd.Flags(), usages)
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}

func printPruned(e *kernel.Env, out *output.Flags, r *backup.PruneReport, failure error) error {
	if r == nil {
		return failure
	}
	if len(r.Changes) == 0 && failure == nil && out.IsTable() {
		e.Say("No backups found.")
		return nil
	}
	var tables []output.Section
	if r.Begun {
		tables = view.Pruned(r.CAChangeReport)
	}
	return errors.Join(failure, e.PrintResult(out, r.CAChangeReport, kernel.Names(r.ChangeReport), tables))
}
