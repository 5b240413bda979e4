package cmd

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drill"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/witness"
)

func newRBAC(e *kernel.Env) *cobra.Command {
	var (
		subjects          cli.RBACSubjects
		clients           []string
		drills, witnesses bool
	)
	cmd := &cobra.Command{
		Use:   "rbac [-n NAMESPACE] [--client ephemeral|pod] [--drill] [--witness]",
		Short: "Print manifests with the permissions that a probe needs",
		Long: "Print manifests for kubectl apply that grant the minimum permissions of a probe. Apply them in every cluster of the\n" +
			"mesh. With --namespace, they apply only to client pods and Services of one namespace.\n\n" +
			"Anyone who can create pods/exec can run commands in the pods of that namespace. The rules for --client=pod\n" +
			"allow creating pods; anyone who can create pods can use the service accounts of that namespace. docs/rbac.md\n" +
			"explains each rule, and what happens without it.\n\n" +
			"The command does not contact a cluster. Exit codes: 0 printed; 2 wrong usage.",
		Example: `  # Probes from and to one namespace, for a service account
  kubectl mesh-probe rbac -n shop --serviceaccount ci:probe | kubectl --context kind-us apply -f -

  # In all namespaces, for a group
  kubectl mesh-probe rbac --group sre

  # Also for probes with --client=pod, and for cleanup
  kubectl mesh-probe rbac -n shop --client pod --group sre

  # For those who may also run drills
  kubectl mesh-probe rbac -n shop --drill --group sre

  # Only the roles, without subjects; Cilium is in another namespace than kube-system
  kubectl mesh-probe rbac --cilium-namespace cilium`,
		Args: cli.NoArgs("use --user, --group or --serviceaccount to name the subjects"),
		RunE: func(*cobra.Command, []string) error {
			to, err := subjects.Subjects()
			if err != nil {
				return err
			}
			g := permissions.Grant{Plugin: "mesh-probe", Namespace: ptr.Deref(e.Flags.Config.Namespace, ""),
				MeshNamespace: cmp.Or(e.Flags.CiliumNamespace, permissions.DefaultMeshNamespace), Subjects: to}
			accesses, err := probe.AccessesOf(clients)
			if err != nil {
				return err
			}
			if drills {
				g.Write, accesses = true, append(accesses, drill.Accesses()...)
			}
			if witnesses {
				accesses = append(accesses, witness.Accesses()...)
			}
			text, err := cli.RBACText(g.Manifests(accesses))
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(e.Out, text)
			return err
		},
	}
	cmd.Flags().StringSliceVar(&clients, "client", nil, "Also print the permissions for a probe with this --client. Must be one of: ephemeral, pod (also for cleanup). Repeatable.")
	cmd.Flags().BoolVar(&drills, "drill", false, "If true, also print the permissions that a drill needs.")
	cmd.Flags().BoolVar(&witnesses, "witness", false, "If true, also print the permissions for --witness agents. They allow running commands in the agents' pods.")
	subjects.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}
