// Package cmd is the command line of kubectl mesh-ca: cobra and flags only. What a command does is in replace, status and check, how a result looks is in view.
package cmd

import (
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1/schema"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
)

const display = "kubectl mesh-ca"

// NewRoot returns kubectl mesh-ca.
func NewRoot(streams genericiooptions.IOStreams) *cobra.Command { return New(kernel.New(streams)) }

// New returns kubectl mesh-ca in an environment.
func New(e *kernel.Env) *cobra.Command {
	root := cli.NewRoot(cli.Plugin{
		Binary:  "kubectl-mesh_ca",
		Display: display,
		Short:   "Show and copy the certificate authorities of a Cilium Cluster Mesh",
		Long: "Show and copy the certificate authorities of a Cilium Cluster Mesh.\n\n" +
			"Two clusters trust each other if each process presents a certificate that is signed by the CA that\n" +
			"the other mounts. Private keys are never printed, logged or put on a command line.",
		Example: `  # See the CA of every cluster, its leaf certificates and who trusts whom
  kubectl mesh-ca status --contexts kind-us,kind-eu,kind-ap

  # Give all clusters the CA of us
  kubectl mesh-ca sync --from us --to-all --contexts kind-us,kind-eu,kind-ap

  # Restore the previous CA of eu
  kubectl mesh-ca restore --in eu --backup cilium-ca-backup-3f2a91bc --contexts kind-eu`,
		Schemas: schema.MeshCA(),
	}, e.IOStreams)
	e.Attach(root)
	root.AddCommand(newStatus(e), newCheck(e), newSync(e), newReissue(e), newRotate(e), newFederate(e), newRestore(e), newBackup(e), newBackups(e), newInit(e), newRBAC(e))
	e.Complete(root, "from", "to", "in")
	return root
}
