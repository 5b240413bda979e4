package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/status"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

func newStatus(e *kernel.Env) *cobra.Command {
	out, failOn, running := output.NewFlags(), string(finding.Error), false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show each cluster's CA and certificates, and who trusts whom",
		Long: "Show the CA of every cluster (Secret cilium-ca), the leaf certificates that are derived from it, and\n" +
			"who trusts whom. Trust follows from what each side's processes mount: the command verifies the leaf\n" +
			"certificate of one side against the ca.crt in the other side's leaf Secret, or its caBundle, and checks\n" +
			"whether etcd knows the user in it. Copying cilium-ca therefore changes nothing here until the leaf\n" +
			"certificates are renewed. Values that it cannot parse are shown as unknown.\n" +
			"Leaf certificates are listed only where something is wrong (-o wide: all). The next steps follow.\n" +
			"It also works before the clusters are connected, with --contexts.\n" +
			"Files are not running trust. --live observes the processes too: what each etcd serves, and whether each\n" +
			"client has read its CA file since its last change. It executes commands in Cilium's pods.\n\n" +
			"Exit codes: 0 nothing at or above --fail-on; 1 a finding at or above it; 2 usage, a cluster or a part\n" +
			"of one that could not be read; 130 interrupted.",
		Example: `  # The mesh of the current context
  kubectl mesh-ca status

  # What the running processes serve and trust, not only their files
  kubectl mesh-ca status --live

  # Clusters that are not connected yet
  kubectl mesh-ca status --contexts kind-us,kind-eu

  # All leaf certificates, contexts, and how clusters log in to each other
  kubectl mesh-ca status -o wide

  # The fingerprint of each cluster's CA
  kubectl mesh-ca status -o jsonpath='{range .clusters[*]}{.cluster}{"\t"}{.ca.fingerprint}{"\n"}{end}'

  # In a script: fail only if something could not be read
  kubectl mesh-ca status --contexts kind-us,kind-eu --fail-on never

  # The pairs of clusters that do not trust each other
  kubectl mesh-ca status -o jsonpath='{range .trust[?(@.verdict!="ok")]}{.client} {.server} {.verdict}{"\n"}{end}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			if err := checkFailOn(failOn); err != nil {
				return err
			}
			return runStatus(cmd.Context(), e, out, failOn, running)
		},
	}
	out.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&failOn, "fail-on", failOn, failOnUsage)
	cmd.Flags().BoolVar(&running, "live", false, "If true, also observe the running processes. It needs exec, port-forward and logs of Cilium's pods.")
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func runStatus(ctx context.Context, e *kernel.Env, out *output.Flags, failOn string, running bool) error {
	now := e.Now()
	config := status.Config{Select: e.Select, Timeout: e.Flags.Timeout, Now: now}
	if running {
		config.Live = live.New(e.Flags.Timeout, e.Now)
	}
	doc, members, err := status.Run(ctx, config)
	if err != nil {
		return err
	}
	if err := out.Print(e.Out, doc, view.Status(doc, now, out.Format == output.Wide)); err != nil {
		return err
	}
	return exitOf(ctx, e, doc.Document, members, failOn)
}
