package cmd

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/undo"
)

func newUndo(e *kernel.Env) *cobra.Command {
	f := kernel.NewWriteFlags(plugin.FieldManager)
	cmd := &cobra.Command{
		Use:   "undo FILE",
		Short: "Undo a previous change",
		Long: "Restore the exact previous values, absent ones included, that a change recorded in FILE. The command leaves\n" +
			"values that were changed since then as they are, and lists them. It also cleans up after an interrupted\n" +
			"change: what was never written stays unchanged." + kernel.WriteExits,
		Example: `  # Undo the last change; the change itself printed the file's name
  kubectl mesh-svc undo ~/.local/state/kubectl-mesh/undo-20261123T101500Z-globalize-1.json

  # See what would be restored
  kubectl mesh-svc undo undo.json --dry-run=server`,
		Args: exactlyOne("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := f.Config(e)
			if err != nil {
				return err
			}
			record, err := annotate.Load(args[0])
			if err != nil {
				return err
			}
			file, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			report, err := undo.Run(cmd.Context(), undo.Config{Write: w, Select: e.SelectIn, Chosen: e.Flags.Chosen(), Record: record, Retry: commandWords(e, cmd, []string{file})}, f.UI(e))
			return printChange(e, f.Out, report, err)
		},
	}
	f.AddFlags(cmd.Flags(), kernel.WriteUsages{
		Manager:        managerUsage,
		Yes:            "Accepted for symmetry with the other writes; undo does not ask.",
		AllowPartial:   "If true, go on without clusters that cannot be reached or refuse.",
		ForceConflicts: "If true, also change annotations that a reconciler such as Argo CD, Flux or Helm owns.",
	})
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}
