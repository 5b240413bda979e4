package cmd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/local"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/verb"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/write"
)

const writeUse = " (NAME... | -l SELECTOR | --all) [-A] [--in CLUSTER,...]"

const locally = "\n\nWith --local, the command edits manifests instead of clusters. Only the lines that differ change. It prints the\n" +
	"result or, with --in-place, writes the files. No cluster is contacted."

const planned = "\n\nThe command shows the plan and checks it in every cluster. It writes nothing unless every check\n" +
	"passes. It stores the previous values in a file for the undo command. It asks first if the clusters\n" +
	"were detected (the mesh, a glob, --all-contexts), not if you named them."

func newGlobalize(e *kernel.Env) *cobra.Command {
	var affinity, shared string
	cmd := writing(e, &cobra.Command{
		Use:   "globalize" + writeUse,
		Short: "Make Services global in all clusters",
		Long: "Make Services global in all clusters (service.cilium.io/global: \"true\"): the clients of each\n" +
			"cluster then use the ready endpoints of all of them. A leftover deprecated alias is removed.\n" +
			"A Service that a cluster does not have is reported as absent there." + planned + locally + kernel.WriteExits,
		Example: `  # Make nginx global in all clusters of the mesh
  kubectl mesh-svc globalize nginx

  # In two clusters that are named, with clients preferring their own
  kubectl mesh-svc globalize nginx --contexts kind-us,kind-eu --affinity local

  # See what would be written
  kubectl mesh-svc globalize nginx --dry-run=server

  # For GitOps: edit the manifests of a repository
  kubectl mesh-svc globalize --local -R -f deploy/ --in-place`,
	}, false, func([]string) (verb.Edit, []string, error) {
		edit, err := verb.Globalize(affinity, shared)
		return edit, nil, err
	})
	cmd.Flags().StringVar(&affinity, "affinity", "", "Also set the affinity. Must be one of: local, remote, none. remote requires --in, except with --local.")
	cmd.Flags().StringVar(&shared, "shared", "", "Also set whether the endpoints are offered to other clusters. Must be one of: true, false. false requires --in, except with --local.")
	return cmd
}

func newUnglobalize(e *kernel.Env) *cobra.Command {
	return writing(e, &cobra.Command{
		Use:   "unglobalize" + writeUse,
		Short: "Make Services local again",
		Long: "Make Services local again: both the annotation and its deprecated alias are removed. Annotations\n" +
			"for shared and affinity are left; they have no effect without it." + planned + kernel.WriteExits,
		Example: `  # Make nginx local again in all clusters of the mesh
  kubectl mesh-svc unglobalize nginx

  # In one cluster only
  kubectl mesh-svc unglobalize nginx --in eu`,
	}, false, fixed(verb.Unglobalize()))
}

func newShare(e *kernel.Env) *cobra.Command {
	return writing(e, &cobra.Command{
		Use:   "share (NAME... | -l SELECTOR | --all) [-A] --in CLUSTER,...",
		Short: "Offer a global Service's endpoints to other clusters again",
		Long: "Offer a global Service's endpoints to other clusters again: both shared annotations are removed,\n" +
			"since a global Service is shared by default. The command refuses a drained Service: undrain restores it." + planned + kernel.WriteExits,
		Example: `  # Let other clusters use the endpoints in us again
  kubectl mesh-svc share nginx --in us`,
	}, true, fixed(verb.Share()))
}

func newUnshare(e *kernel.Env) *cobra.Command {
	return writing(e, &cobra.Command{
		Use:   "unshare (NAME... | -l SELECTOR | --all) [-A] --in CLUSTER,...",
		Short: "Keep a global Service's endpoints for their own cluster",
		Long: "Keep a global Service's endpoints for their own cluster (service.cilium.io/shared: \"false\"): clients\n" +
			"of other clusters no longer use them. Its own clients still use all clusters. The command refuses a drained\n" +
			"Service: undrain would overwrite the change." + planned + kernel.WriteExits,
		Example: `  # No longer let other clusters use the endpoints in us
  kubectl mesh-svc unshare nginx --in us`,
	}, true, fixed(verb.Unshare()))
}

func newAffinity(e *kernel.Env) *cobra.Command {
	return writing(e, &cobra.Command{
		Use:   "affinity (local|remote|none)" + writeUse,
		Short: "Set which endpoints clients prefer",
		Long: "Set which endpoints clients prefer. local: those of their own cluster while at least one is ready.\n" +
			"remote: those of other clusters while they have one. none: all equally; the annotation is\n" +
			"removed, because Cilium 1.18 and 1.19.0 to 1.19.5 drop all remote endpoints for the value \"none\".\n" +
			"The affinity applies to the clients in the cluster in which it is set. remote requires --in, except with --local." + planned + kernel.WriteExits,
		Example: `  # Clients stay in their own cluster while it can answer
  kubectl mesh-svc affinity local nginx

  # Clients in eu prefer the other clusters
  kubectl mesh-svc affinity remote nginx --in eu

  # No preference
  kubectl mesh-svc affinity none nginx`,
	}, false, func(args []string) (verb.Edit, []string, error) {
		if len(args) == 0 {
			return verb.Edit{}, nil, errAffinityMissing
		}
		edit, err := verb.Affinity(args[0])
		if at := slices.IndexFunc(args, func(a string) bool { _, err := verb.Affinity(a); return err == nil }); err != nil && at > 0 {
			words := slices.Concat([]string{"affinity", args[at]}, args[:at], args[at+1:])
			for i, w := range words {
				words[i] = commandline.Quote(w)
			}
			err = fmt.Errorf("%q is not an affinity, which comes before the names: %s", args[0], strings.Join(words, " "))
		}
		return edit, args[1:], err
	})
}

// fixed is the edit of a verb without arguments of its own.
func fixed(edit verb.Edit) editFunc {
	return func([]string) (verb.Edit, []string, error) { return edit, nil, nil }
}

// editFunc turns a verb's arguments into its edit and the Service names that are left; nil names means all arguments.
type editFunc func(args []string) (verb.Edit, []string, error)

// writing completes a command that changes Services; needsIn: never without --in.
func writing(e *kernel.Env, cmd *cobra.Command, needsIn bool, edit editFunc) *cobra.Command {
	f := newWriteFlags(e)
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
			return f.runLocal(cmd, ed, names)
		}
		if err := f.local.unused(cmd.Flags()); err != nil {
			return err
		}
		c, err := f.config(ed, names)
		if err != nil {
			return err
		}
		c.Retry, c.Local = commandWords(e, cmd, args), localCommand(cmd, args[:len(args)-len(names)])
		report, err := write.Run(cmd.Context(), c, f.write.UI(e))
		return printChange(e, f.write.Out, report, err)
	}
	f.addFlags(cmd.Flags(), needsIn)
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}

// runLocal edits manifests instead of clusters.
func (f *writeFlags) runLocal(cmd *cobra.Command, edit verb.Edit, names []string) error {
	c, err := f.local.config(f, cmd.Flags(), edit, names)
	if err != nil {
		return err
	}
	text, err := local.Run(c, f.env)
	if err != nil {
		return err
	}
	_, err = f.env.Out.Write(text)
	return err
}

// printChange prints what became of each Service, how to complete the change and how to undo it.
func printChange(e *kernel.Env, out *output.Flags, r *write.Report, failure error) error {
	if r == nil {
		return failure
	}
	if r.Nothing && out.IsTable() {
		if failure == nil {
			e.Say("No services match; nothing was changed.")
		}
		return failure
	}
	var tables []output.Section
	if r.Begun {
		tables = view.Changes(r.ChangeReport, noteGrouped(e, out, r.ChangeReport))
	}
	err := e.PrintResult(out, r.ChangeReport, kernel.Names(r.ChangeReport), tables)
	if r.Note != "" {
		e.Note("%s", r.Note)
	}
	if r.RetryCommand != "" {
		e.Say("To complete it, run: %s", r.RetryCommand)
	}
	if r.UndoCommand != "" {
		e.Say("To undo it, run: %s", r.UndoCommand)
	}
	return cmp.Or(failure, err)
}

// noteGrouped says that a long table groups its rows, unless -o wide is given. It returns whether it is.
func noteGrouped(e *kernel.Env, out *output.Flags, doc v1alpha1.ChangeReport) (wide bool) {
	wide = out.Format == output.Wide
	if out.IsTable() && !wide && view.Counted(doc) {
		e.Note("%d results are grouped; use -o wide or -o json to list each", len(doc.Changes))
	}
	return wide
}
