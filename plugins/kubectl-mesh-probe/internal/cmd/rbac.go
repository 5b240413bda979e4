package cmd

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
)

func newRBAC(e *env) *cobra.Command {
	var subjects cli.RBACSubjects
	cmd := &cobra.Command{
		Use:   "rbac [-n NAMESPACE]",
		Short: "Print the permissions that a probe needs, as manifests",
		Long: "Print the least permissions with which a probe works, as manifests for kubectl apply. Grant them in every cluster of\n" +
			"the mesh. With --namespace they are limited to client pods and Services of one namespace. Anyone who may\n" +
			"create pods/exec can run commands in the pods of that namespace. docs/rbac.md explains each rule and what happens\n" +
			"without it.\n\n" +
			"No cluster is asked. Exit codes: 0 printed, 2 usage.",
		Example: `  # Probes from and to one namespace, for a service account
  kubectl mesh-probe rbac -n shop --serviceaccount ci:probe | kubectl --context kind-us apply -f -

  # In all namespaces, for a group
  kubectl mesh-probe rbac --group sre

  # The roles alone, where Cilium is in a namespace of its own
  kubectl mesh-probe rbac --cilium-namespace cilium`,
		Args: cli.NoArgs("--user, --group and --serviceaccount say for whom"),
		RunE: func(*cobra.Command, []string) error {
			to, err := subjects.Subjects()
			if err != nil {
				return err
			}
			g := permissions.Grant{Plugin: "mesh-probe", Namespace: ptr.Deref(e.clusters.Config.Namespace, ""),
				MeshNamespace: cmp.Or(e.clusters.CiliumNamespace, permissions.DefaultMeshNamespace), Subjects: to}
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
