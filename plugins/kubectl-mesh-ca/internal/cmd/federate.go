package cmd

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/federate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

const federateLong = `Make clusters with different CAs trust each other. Each cluster keeps its own CA.

No private key leaves its cluster: mesh-ca reads each key into memory to sign a cross certificate of
the other CAs, and writes it nowhere. First, cross certificates are sent with the leaf certificates of
every cluster. That works at once, without a restart. To make the trust last when the leaf certificates
are issued again, the next step depends on who issues them:

  certgen   finds the cross certificates in secret cilium-ca and sends them with every certificate
  Helm      finds the CAs of the other clusters in secret cilium-ca and writes them into the CA files;
            clustermesh-apiserver is restarted once, one cluster after the other
  nobody    nothing more: the certificates last

The command refuses a mesh with Helm in one cluster and certgen in another, and more than ten CAs of one
name. When a cluster joins later, run the command for all clusters again; it shows every cluster that
must change. --off separates the clusters again. docs/mesh-ca.md explains the recipes.`

// federateFlags are what the user typed.
type federateFlags struct {
	in                              []string
	off, filesOnly, allowDisconnect bool
}

// check returns the mistake in the flags, if any.
func (f federateFlags) check() error {
	switch {
	case f.off && f.filesOnly:
		return errors.New("--off and --files-only cannot be used together; --off removes everything that federate added")
	case f.allowDisconnect && !f.off:
		return errors.New("--allow-disconnect needs --off; only --off disconnects clusters")
	}
	return nil
}

func (f federateFlags) action() federate.Action {
	if f.off {
		return federate.Off
	}
	return federate.Federate
}

func newFederate(e *kernel.Env) *cobra.Command {
	w := kernel.NewWriteFlags(pki.FieldManager)
	var f federateFlags
	c := newFederation()
	cmd := &cobra.Command{
		Use: "federate", Short: "Make clusters with different CAs trust each other", Long: federateLong + kernel.WriteExits,
		Example: `  # See what would be done, checked by every API server
  kubectl mesh-ca federate --contexts kind-us,kind-eu --dry-run=server

  # Make us and eu trust each other
  kubectl mesh-ca federate --contexts kind-us,kind-eu

  # ap joins: all three clusters change
  kubectl mesh-ca federate --contexts kind-us,kind-eu,kind-ap

  # Separate us and ap; eu stays federated with both
  kubectl mesh-ca federate --off --contexts kind-us,kind-eu,kind-ap --in us,ap`,
		Args: cli.NoArgs("--contexts or --in says which clusters"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			config := c
			config.Action, config.In, config.FilesOnly, config.AllowDisconnect = f.action(), slices.Clone(f.in), f.filesOnly, f.allowDisconnect
			return runFederation(cmd.Context(), e, w, config)
		},
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&f.in, "in", nil, "Clusters that are to trust each other, by Cilium name or context (repeatable). Defaults to all that are read.")
	fs.BoolVar(&f.off, "off", false, "If true, separate the clusters again: remove the cross certificates, and the CAs of the other clusters.")
	fs.BoolVar(&f.filesOnly, "files-only", false, "If true, change only what is sent with the leaf certificates. It lasts until they are issued again.")
	fs.BoolVar(&f.allowDisconnect, "allow-disconnect", false, "If true, --off also separates clusters that are connected.")
	addWait(cmd, &c)
	usages := writeUsages
	usages.ForceConflicts = "If true, also change Secrets that a reconciler such as Argo CD or Flux keeps, and a CA that Helm values set."
	w.AddFlags(fs, usages)
	return cli.Writes(cmd)
}

func newRepair(e *kernel.Env) *cobra.Command {
	w := kernel.NewWriteFlags(pki.FieldManager)
	c := newFederation()
	c.Action = federate.Repair
	cmd := &cobra.Command{
		Use: "repair", Short: "Repair a mesh in which one cluster was given another CA by hand",
		Long: `Repair a mesh in which the leaf certificates of one cluster were issued by another CA than those of the
others. Cross certificates are sent with the leaf certificates of all clusters, so that each CA verifies
them. Nothing is restarted, and secret cilium-ca stays as it is.

The repair lasts until somebody issues the leaf certificates again. Give all clusters one CA soon: the commands
are printed. It needs the key of each CA, in secret cilium-ca of a cluster or in a backup.` + kernel.WriteExits,
		Example: `  # See what would be written
  kubectl mesh-ca rotate repair --dry-run=server

  # Repair the mesh of the current context
  kubectl mesh-ca rotate repair

  # In a script
  kubectl mesh-ca rotate repair --contexts kind-us,kind-eu --yes -o json`,
		Args: cli.NoArgs("--contexts says which clusters"),
		RunE: func(cmd *cobra.Command, _ []string) error { return runFederation(cmd.Context(), e, w, c) },
	}
	addWait(cmd, &c)
	usages := writeUsages
	usages.ForceConflicts = "If true, also change Secrets that a reconciler such as Argo CD or Flux keeps."
	w.AddFlags(cmd.Flags(), usages)
	return cli.Writes(cmd)
}

func newFederation() federate.Config {
	return federate.Config{Wait: federate.DefaultWait, Poll: federate.DefaultPoll}
}

func addWait(cmd *cobra.Command, c *federate.Config) {
	cmd.Flags().Var((*lifetime)(&c.Wait), "wait", "Maximum time for which each phase waits for the running processes. 0 means that they are not observed, and that nothing is restarted.")
}

// runFederation completes the config, runs it, and prints what it came to.
func runFederation(ctx context.Context, e *kernel.Env, w *kernel.WriteFlags, c federate.Config) error {
	var err error
	if c.Write, err = w.Config(e); err != nil {
		return err
	}
	c.RetryFlags = append(c.RetryFlags, waitFlag(c.Wait, federate.DefaultWait)...)
	c.Select, c.Clock = e.Select, clock{e.Now}
	c.Observer = rotate.Processes{Observer: live.New(e.Flags.Timeout, e.Now), Now: e.Now}
	c.Who, c.ID = whoAmI()
	c.Show = view.Federation
	doc, failure := federate.Run(ctx, c, w.UI(e))
	var names []string
	for _, ch := range doc.Changes {
		names = append(names, ch.Object)
	}
	var tables []output.Section
	if failure == nil || len(doc.Changes) > 0 {
		tables = view.Federation(doc)
	}
	if err := e.PrintResult(w.Out, doc, names, tables); err != nil {
		return errors.Join(failure, err)
	}
	if failure == nil {
		sayFederation(e, doc)
	}
	return failure
}

// sayFederation prints what comes next.
func sayFederation(e *kernel.Env, doc v1alpha1.FederationReport) {
	for _, line := range view.FederationNext(doc) {
		e.Say("%s", line)
	}
}
