package cmd

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
)

func newRBAC(e *kernel.Env) *cobra.Command {
	var subjects cli.RBACSubjects
	cmd := &cobra.Command{
		Use:   "rbac [-n NAMESPACE]",
		Short: "Print manifests with the permissions that a probe needs",
		Long: "Print manifests for kubectl apply that grant the minimum permissions of a probe. Apply them in every cluster of the\n" +
			"mesh. With --namespace, they apply only to client pods and Services of one namespace. Anyone who can create\n" +
			"pods/exec can run commands in the pods of that namespace. docs/rbac.md explains each rule and what happens\n" +
			"without it.\n\n" +
			"The command does not contact a cluster. Exit codes: 0 printed; 2 wrong usage.",
		Example: `  # Probes from and to one namespace, for a service account
  kubectl mesh-probe rbac -n shop --serviceaccount ci:probe | kubectl --context kind-us apply -f -

  # In all namespaces, for a group
  kubectl mesh-probe rbac --group sre

  # Only the roles, if Cilium is in its own namespace
  kubectl mesh-probe rbac --cilium-namespace cilium`,
		Args: cli.NoArgs("use --user, --group or --serviceaccount to name the subjects"),
		RunE: func(*cobra.Command, []string) error {
			to, err := subjects.Subjects()
			if err != nil {
				return err
			}
			g := permissions.Grant{Plugin: "mesh-probe", Namespace: ptr.Deref(e.Flags.Config.Namespace, ""),
				MeshNamespace: cmp.Or(e.Flags.CiliumNamespace, permissions.DefaultMeshNamespace), Subjects: to}
			text, err := cli.RBACText(g.Manifests(probe.Accesses()))
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(e.Out, text)
			return err
		},
	}
	subjects.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}
