package cmd

import (
	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
)

const writeExits = "\n\nExit codes: 0 done, unchanged or dry-run; 1 anything else; 130 interrupted."

const writeUse = " (NAME... | -l SELECTOR | --all) [-A] [--in CLUSTER,...]"

const locally = "\n\nWith --local, manifests are edited instead of clusters: only the lines that differ change, and the result is\n" +
	"printed or, with --in-place, written back. No cluster is contacted."

const planned = "\n\nThe plan is shown and checked in every cluster first; nothing is written unless it can be carried\n" +
	"out in all of them. The former values are kept in a file that the undo command takes. It asks first\n" +
	"when the clusters were found (the mesh, a glob, --all-contexts), not when you named them."

func newGlobalize(e *env) *cobra.Command {
	var affinity, shared string
	cmd := e.writing(&cobra.Command{
		Use:   "globalize" + writeUse,
		Short: "Make Services global in all clusters",
		Long: "Make Services global in all clusters (service.cilium.io/global: \"true\"): the clients of each\n" +
			"cluster then use the ready endpoints of all of them. A leftover deprecated alias is removed.\n" +
			"A Service that a cluster does not have is reported as absent there." + planned + locally + writeExits,
		Example: `  # Make nginx global in all clusters of the mesh
  kubectl mesh-svc globalize nginx

  # In two clusters that are named, with clients preferring their own
  kubectl mesh-svc globalize nginx --contexts kind-us,kind-eu --affinity local

  # See what would be written
  kubectl mesh-svc globalize nginx --dry-run=server

  # For GitOps: edit the manifests of a repository
  kubectl mesh-svc globalize --local -R -f deploy/ --in-place`,
	}, false, func([]string) (globalsvc.Edit, []string, error) {
		edit, err := globalsvc.Globalize(affinity, shared)
		return edit, nil, err
	})
	cmd.Flags().StringVar(&affinity, "affinity", "", "Also set the affinity: local, remote or none.")
	cmd.Flags().StringVar(&shared, "shared", "", "Also say whether the endpoints are offered to other clusters: true or false.")
	return cmd
}

func newUnglobalize(e *env) *cobra.Command {
	return e.writing(&cobra.Command{
		Use:   "unglobalize" + writeUse,
		Short: "Make Services local again",
		Long: "Make Services local again: both the annotation and its deprecated alias are removed. Annotations\n" +
			"for shared and affinity are left; they have no effect without it." + planned + writeExits,
		Example: `  # Make nginx local again in all clusters of the mesh
  kubectl mesh-svc unglobalize nginx

  # In one cluster only
  kubectl mesh-svc unglobalize nginx --in eu`,
	}, false, fixed(globalsvc.Unglobalize()))
}

func newShare(e *env) *cobra.Command {
	return e.writing(&cobra.Command{
		Use:   "share (NAME... | -l SELECTOR | --all) [-A] --in CLUSTER,...",
		Short: "Offer a global Service's endpoints to other clusters again",
		Long: "Offer a global Service's endpoints to other clusters again: both shared annotations are removed,\n" +
			"since a global Service is shared by default. One that drain took out is refused: undrain brings it back." + planned + writeExits,
		Example: `  # Let other clusters use the endpoints in us again
  kubectl mesh-svc share nginx --in us`,
	}, true, fixed(globalsvc.Share()))
}

func newUnshare(e *env) *cobra.Command {
	return e.writing(&cobra.Command{
		Use:   "unshare (NAME... | -l SELECTOR | --all) [-A] --in CLUSTER,...",
		Short: "Keep a global Service's endpoints for their own cluster",
		Long: "Keep a global Service's endpoints for their own cluster (service.cilium.io/shared: \"false\"): clients\n" +
			"of other clusters no longer use them. Its own clients still use all clusters. A Service that drain took out\n" +
			"is refused: undrain would write over it." + planned + writeExits,
		Example: `  # No longer let other clusters use the endpoints in us
  kubectl mesh-svc unshare nginx --in us`,
	}, true, fixed(globalsvc.Unshare()))
}

func newAffinity(e *env) *cobra.Command {
	return e.writing(&cobra.Command{
		Use:   "affinity (local|remote|none)" + writeUse,
		Short: "Say which endpoints clients prefer",
		Long: "Say which endpoints the clients of a cluster prefer. local: their own cluster's as long as one is\n" +
			"ready. remote: those of other clusters as long as there is one. none: all alike; the annotation is\n" +
			"removed, because Cilium 1.18 and 1.19.0 to 1.19.5 drop all remote endpoints for the word none.\n" +
			"Affinity holds for the clients of the cluster in which it is set. remote needs --in." + planned + writeExits,
		Example: `  # Clients stay in their own cluster while it can answer
  kubectl mesh-svc affinity local nginx

  # Clients in eu prefer the other clusters
  kubectl mesh-svc affinity remote nginx --in eu

  # No preference
  kubectl mesh-svc affinity none nginx`,
	}, false, func(args []string) (globalsvc.Edit, []string, error) {
		if len(args) == 0 {
			return globalsvc.Edit{}, nil, errAffinityMissing
		}
		edit, err := globalsvc.Affinity(args[0])
		return edit, args[1:], err
	})
}

// fixed is the edit of a verb without arguments of its own.
func fixed(edit globalsvc.Edit) editFunc {
	return func([]string) (globalsvc.Edit, []string, error) { return edit, nil, nil }
}

// editFunc turns a verb's arguments into its edit and the Service names that are left; nil names means all arguments.
type editFunc func(args []string) (globalsvc.Edit, []string, error)

// writing completes a command that changes Services; needsIn: never without --in.
func (e *env) writing(cmd *cobra.Command, needsIn bool, edit editFunc) *cobra.Command {
	f := newWriteFlags(e)
	f.needsIn = needsIn
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("in") && len(f.in) == 0 {
			return errInEmpty
		}
		ed, names, err := edit(args)
		if err != nil {
			return err
		}
		if names == nil {
			names = args
		}
		if f.local.on {
			l, err := f.toLocal(cmd.Flags(), ed, names)
			if err != nil {
				return err
			}
			return l.run()
		}
		if err := f.local.unused(cmd.Flags()); err != nil {
			return err
		}
		o, err := f.toOptions(ed, names)
		if err != nil {
			return err
		}
		o.retry, o.local = e.commandWords(cmd, args), localCommand(cmd, args[:len(args)-len(names)])
		return o.run(cmd.Context())
	}
	f.addFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}
