package cmd

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/access"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// rbacFlags are what the user says about a grant.
type rbacFlags struct {
	readOnly, write bool
	drain           []string
	subjects        cli.RBACSubjects
}

func newRBAC(e *kernel.Env) *cobra.Command {
	f := &rbacFlags{}
	cmd := &cobra.Command{
		Use:   "rbac [--read-only | --write] [-n NAMESPACE]",
		Short: "Print the permissions that the commands need, as manifests",
		Long: "Print the least permissions with which every command of this plugin works, as manifests for kubectl apply:\n" +
			"those for reading, or with --write those for changing too. Grant them in every cluster of the mesh.\n" +
			"With --namespace they are limited to the Services of one namespace. They are then Roles, except for the\n" +
			"nodes and clusterwide policies that check reads. drain works on all namespaces. Secrets are read by name,\n" +
			"never listed. docs/rbac.md explains each rule and what happens without it.\n\n" +
			"No cluster is asked. Exit codes: 0 printed, 2 usage.",
		Example: `  # What reading needs, for a group
  kubectl mesh-svc rbac --group sre | kubectl --context kind-us apply -f -

  # What changing the Services of one namespace needs, for a service account
  kubectl mesh-svc rbac --write -n shop --serviceaccount ci:deployer

  # For those who may take us or eu out of service
  kubectl mesh-svc rbac --write --drain us,eu --group sre-on-call

  # The roles alone, where Cilium is in a namespace of its own
  kubectl mesh-svc rbac --cilium-namespace cilium`,
		Args: cli.NoArgs("--user, --group and --serviceaccount say for whom"),
		RunE: func(*cobra.Command, []string) error {
			g, err := f.grant(ptr.Deref(e.Flags.Config.Namespace, ""), e.Flags.CiliumNamespace)
			if err != nil {
				return err
			}
			text, err := cli.RBACText(g.Manifests(access.All()))
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(e.Out, text)
			return err
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.readOnly, "read-only", false, "If true, print what reading needs. This is the default.")
	fs.BoolVar(&f.write, "write", false, "If true, print what changing Services needs too.")
	fs.StringSliceVar(&f.drain, "drain", nil, "Clusters that may be drained, by Cilium name, with --write (repeatable).")
	f.subjects.AddFlags(fs)
	cmd.DisableFlagsInUseLine = true
	return cmd
}

// grant checks the flags.
func (f *rbacFlags) grant(namespace, ciliumNamespace string) (permissions.Grant, error) {
	g := permissions.Grant{Plugin: "mesh-svc", DrainName: drainrecord.Name, Write: f.write, Namespace: namespace, MeshNamespace: ciliumNamespace}
	if g.MeshNamespace == "" {
		g.MeshNamespace = permissions.DefaultMeshNamespace
	}
	switch {
	case f.readOnly && f.write:
		return g, errors.New("--read-only and --write cannot be used together")
	case len(f.drain) > 0 && !f.write:
		return g, errors.New("--drain needs --write")
	case len(f.drain) > 0 && namespace != "":
		return g, errors.New("--drain and --namespace cannot be used together: a drain works on all namespaces")
	case slices.Contains(f.drain, ""):
		return g, errors.New("--drain has an empty name")
	}
	g.Drain = f.drain
	var err error
	g.Subjects, err = f.subjects.Subjects()
	return g, err
}
