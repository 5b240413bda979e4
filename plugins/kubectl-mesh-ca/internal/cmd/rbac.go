package cmd

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

func newRBAC(e *kernel.Env) *cobra.Command {
	var (
		subjects               cli.RBACSubjects
		readOnly, write, prune bool
		rotate                 bool
		running                bool
	)
	cmd := &cobra.Command{
		Use:   "rbac [--read-only | --write [--prune] [--rotate]] [--live]",
		Short: "Print the permissions that the commands need, as manifests",
		Long: "Print the least permissions with which every command of this plugin works, as manifests for kubectl apply: those\n" +
			"for reading, or with --write those for replacing a CA and for listing backups too, and with --prune those for\n" +
			"deleting backups. Grant them in every cluster of the mesh. All are Roles in Cilium's namespace, except the\n" +
			"permission to read the identity of the cluster. Without --write, Secrets are read by name, never listed.\n" +
			"docs/rbac.md explains each rule and what happens without it.\n\n" +
			"No cluster is asked. Exit codes: 0 printed, 2 usage.",
		Example: `  # What status needs, for a group
  kubectl mesh-ca rbac --group sre | kubectl --context kind-us apply -f -

  # What sync and restore need too
  kubectl mesh-ca rbac --write --group sre-on-call

  # What rotate, federate and reissue need
  kubectl mesh-ca rbac --write --rotate --group sre-on-call

  # What status --live needs too
  kubectl mesh-ca rbac --live --group sre-on-call

  # The roles alone, where Cilium is in a namespace of its own
  kubectl mesh-ca rbac --cilium-namespace cilium`,
		Args: cli.NoArgs("--user, --group and --serviceaccount say for whom"),
		RunE: func(*cobra.Command, []string) error {
			if readOnly && write {
				return errors.New("--read-only and --write cannot be used together")
			}
			if rotate && !write {
				return errors.New("--rotate needs --write: a rotation replaces the CA")
			}
			if prune && !write {
				return errors.New("--prune needs --write: whoever deletes backups lists Secrets too")
			}
			if ptr.Deref(e.Flags.Config.Namespace, "") != "" {
				return errors.New("--namespace cannot be used with rbac: certificates are in Cilium's namespace, which --cilium-namespace names")
			}
			to, err := subjects.Subjects()
			if err != nil {
				return err
			}
			accesses := ca.Accesses()
			if rotate {
				accesses = append(accesses, ca.RotateAccesses()...)
			}
			if running || rotate {
				accesses = append(accesses, ca.LiveAccesses()...)
			}
			g := permissions.Grant{Plugin: "mesh-ca", Write: write, MeshNamespace: cmp.Or(e.Flags.CiliumNamespace, permissions.DefaultMeshNamespace), Subjects: to}
			if !prune {
				accesses = ca.WithoutPrune(accesses)
			}
			text, err := cli.RBACText(g.Manifests(accesses))
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(e.Out, text)
			return err
		},
	}
	cmd.Flags().BoolVar(&readOnly, "read-only", false, "If true, print what reading needs. This is the default.")
	cmd.Flags().BoolVar(&write, "write", false, "If true, also print what replacing a CA needs.")
	cmd.Flags().BoolVar(&running, "live", false, "If true, also print what observing running processes needs: exec, port-forward and logs in Cilium's namespace.")
	cmd.Flags().BoolVar(&rotate, "rotate", false, "If true, --write also prints what rotate, federate and reissue need; that includes what --live prints.")
	cmd.Flags().BoolVar(&prune, "prune", false, "If true, --write also prints what \"backups prune\" needs: to delete Secrets in Cilium's namespace.")
	subjects.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}
