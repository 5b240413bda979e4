package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

func newStatus(e *env) *cobra.Command {
	out := output.NewFlags()
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the CA and the certificates of every cluster, and who trusts whom",
		Long: "Show the CA of every cluster (Secret cilium-ca), the leaf certificates that are derived from it, and\n" +
			"who trusts whom. Trust is worked out from what each side's processes mount: the leaf that one side\n" +
			"presents against the ca.crt in the other side's leaf Secret, or its caBundle. Copying cilium-ca\n" +
			"therefore changes nothing here until the leafs are renewed. What is not understood is unknown.\n" +
			"It also works before the clusters are connected, with --contexts.\n\n" +
			"Exit codes: 0 complete, whatever was found; 2 usage, a cluster or a part of one that could not be\n" +
			"read; 130 interrupted.",
		Example: `  # The mesh of the current context
  kubectl mesh-ca status

  # Clusters that are not connected yet
  kubectl mesh-ca status --contexts kind-us,kind-eu

  # The fingerprint of each cluster's CA
  kubectl mesh-ca status -o jsonpath='{range .clusters[*]}{.cluster}{"\t"}{.ca.fingerprint}{"\n"}{end}'

  # The pairs of clusters that do not trust each other
  kubectl mesh-ca status -o jsonpath='{range .trust[?(@.verdict!="ok")]}{.client} {.server} {.verdict}{"\n"}{end}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			return e.status(cmd.Context(), out)
		},
	}
	out.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func (e *env) status(ctx context.Context, out *output.Flags) error {
	sel, err := e.selectMembers(ctx)
	if err != nil {
		return err
	}
	states := ca.ReadAll(ctx, sel.Members, e.flags.Timeout)
	now := e.now()
	doc := ca.Report(sel.Members, states, now)
	if err := out.Print(e.Out, doc, view.Status(doc, now)); err != nil {
		return err
	}
	dead := e.dead(sel.Members)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(dead) > 0:
		err = fmt.Errorf("%d of %d clusters could not be read; the result is not complete", len(dead), len(sel.Members))
	case !doc.Complete:
		err = errors.New("something could not be read or is not understood, see the findings; the result is not complete")
	default:
		return nil
	}
	return &cli.ExitError{Code: cli.ExitNoAnswer, Err: err}
}
