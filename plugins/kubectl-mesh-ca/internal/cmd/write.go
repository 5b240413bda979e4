package cmd

import (
	"errors"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/replace"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

var writeUsages = kernel.WriteUsages{
	Manager:        "Name of the manager that is recorded as owner of the fields.",
	Yes:            "If true, do not ask.",
	ForceConflicts: "If true, also replace a CA that a reconciler such as cert-manager, Argo CD or Flux keeps.",
}

// config is what sync and restore have in common.
func config(e *kernel.Env, f *kernel.WriteFlags) (replace.Config, error) {
	w, err := f.Config(e)
	if err != nil {
		return replace.Config{}, err
	}
	return replace.Config{Write: w, Select: e.Select, Now: e.Now, CiliumNamespace: e.Flags.CiliumNamespace}, nil
}

// printChange prints what became of each object, what must follow, and how to undo it.
func printChange(e *kernel.Env, out *output.Flags, r *replace.Report, failure error) error {
	if r == nil {
		return failure
	}
	var tables []output.Section
	if r.Begun {
		tables = view.Changes(r.CAChangeReport)
	}
	if err := e.PrintResult(out, r.CAChangeReport, kernel.Names(r.ChangeReport), tables); err != nil {
		return errors.Join(failure, err)
	}
	if r.Begun && (failure == nil || len(r.UndoCommands) > 0) {
		for _, line := range view.Next(r.NextSteps, r.Status) {
			e.Say("%s", line)
		}
	}
	if kept := backups(r.ChangeReport); kept > 0 && failure != nil && len(r.UndoCommands) == 0 {
		e.Say("No CA was replaced. The backups that were made (%d) are kept; to complete the change, run the command again.", kept)
	}
	sayUndo(e, r.UndoCommands)
	return failure
}

// backups counts the backups that were made.
func backups(doc v1alpha1.ChangeReport) int {
	n := 0
	for _, c := range doc.Changes {
		if c.Result == v1alpha1.ResultChanged && strings.HasPrefix(c.Object, "secret/"+pki.SecretCA+"-") {
			n++
		}
	}
	return n
}
