package cmd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
)

func newUndo(e *env) *cobra.Command {
	f := newWriteFlags(e)
	cmd := &cobra.Command{
		Use:   "undo FILE",
		Short: "Put back what a change wrote over",
		Long: "Put back the exact former values, absent ones included, that a change recorded in FILE. What somebody\n" +
			"changed since is left as it is, and listed. It also completes the picture after a change that was\n" +
			"interrupted: what was never written is unchanged." + writeExits,
		Example: `  # Take the last change back; the change itself printed the file's name
  kubectl mesh-svc undo ~/.local/state/kubectl-mesh/undo-20261123T101500Z-globalize-1.json

  # See what would be put back
  kubectl mesh-svc undo undo.json --dry-run=server`,
		Args: exactlyOne("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.common()
			if err != nil {
				return err
			}
			rec, err := annotate.Load(args[0])
			if err != nil {
				return err
			}
			file, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			o.retry = e.commandWords(cmd, []string{file})
			return o.undo(cmd.Context(), rec)
		},
	}
	f.addApplyFlags(cmd.Flags())
	cmd.Flags().Lookup("yes").Usage = "Accepted for symmetry with the other writes; undo does not ask."
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}

func (o *writeOptions) undo(ctx context.Context, rec *annotate.Record) error {
	found := !o.flags.Chosen()
	if found {
		for _, i := range rec.Items {
			o.flags.Contexts = append(o.flags.Contexts, i.Context)
		}
	}
	sel, err := o.selectMembers(ctx)
	if err != nil {
		return err
	}
	if found && len(sel.Members) > 0 {
		// The record names the clusters that were written. A drain was planned with all clusters of the mesh, and is taken back with them.
		o.whole = sel.Members[0].CommandMesh()
	}
	return o.undoIn(ctx, sel, rec)
}

// drainCommand is a command of a drain, for which all clusters of the mesh count.
func (o *writeOptions) drainCommand(verb, cluster string) string {
	return commandline.Plugin(display, o.undoMesh(), "", verb, cluster)
}

// undoIn puts back what a record holds in the clusters that were selected.
func (o *writeOptions) undoIn(ctx context.Context, sel *clusters.Selection, rec *annotate.Record) error {
	for _, back := range []string{"undrain ", "undo drain "} {
		if cluster, ok := strings.CutPrefix(rec.Action, back); ok {
			return fmt.Errorf("to undo %q would take %s out of service again without a check of what its clients are left with; nothing was changed. To drain it after that check, run: %s",
				rec.Action, cluster, o.drainCommand("drain", cluster))
		}
	}
	cluster, drained := strings.CutPrefix(rec.Action, "drain ")
	if drained {
		o.takeBack = o.drainCommand("drain", cluster)
	}
	targets, byItem, err := recordMembers(sel, rec)
	if err != nil {
		return err
	}
	if err := o.reachable(targets); err != nil {
		return o.unwritten(targets, err)
	}
	plan := &annotate.Plan{Action: "undo " + rec.Action, Manager: o.manager, Former: rec.Manager}
	items, left := o.undoItems(ctx, rec, byItem)
	if ctx.Err() != nil {
		return o.unwritten(targets, ctx.Err())
	}
	for _, i := range items {
		if i != nil {
			plan.Items = append(plan.Items, i)
		}
	}
	if plan.Failed() && !o.partial {
		plan.Stop()
		return o.report(plan, targets, "", errors.New("not every Service of the record could be read; nothing was changed"))
	}
	if err := o.carryOut(ctx, plan, targets, true); err != nil {
		return err
	}
	if drained && o.dryRun == "none" {
		output.Say(o.ErrOut, "Note: the record of the drain is still there; to delete it, run: %s", o.drainCommand("undrain", cluster))
	}
	if left {
		return errors.New("not everything could be put back; what somebody changed since is left as it is")
	}
	return nil
}

// undoMesh is the clusters of a printed undrain.
func (o *writeOptions) undoMesh() commandline.Mesh {
	if o.whole.Selection != nil {
		return o.whole
	}
	return o.mesh
}

// undoItems reads what the record is about, all members at once, and plans each item. An item of a member that could not be read is nil.
// left reports whether anything stays as somebody else made it.
func (o *writeOptions) undoItems(ctx context.Context, rec *annotate.Record, byItem []*clusters.Member) (items []*annotate.Item, left bool) {
	of := map[*clusters.Member][]int{}
	var members []*clusters.Member
	for n, m := range byItem {
		if of[m] == nil {
			members = append(members, m)
		}
		of[m] = append(of[m], n)
	}
	items = make([]*annotate.Item, len(rec.Items))
	stays := make([]bool, len(rec.Items))
	// The deadline is for each request; a record may hold hundreds of Services of one member.
	clusters.Each(ctx, members, o.flags.Timeout*time.Duration(len(rec.Items)+1), func(ctx context.Context, m *clusters.Member) (struct{}, error) {
		clusters.Parallel(ctx, len(of[m]), func(n int) {
			at := of[m][n]
			i := rec.Items[at]
			one, cancel := context.WithTimeout(ctx, o.flags.Timeout)
			defer cancel()
			svc, err := m.Client.CoreV1().Services(i.Namespace).Get(one, i.Name, metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
				items[at], stays[at] = annotate.Absent(m, i.Namespace, i.Name), true
			case err != nil:
				items[at] = annotate.Absent(m, i.Namespace, i.Name)
				items[at].Result, items[at].Message = v1alpha1.ResultFailed, "it could not be read: "+clusters.Explain(err).Error()
			default:
				items[at], stays[at] = globalsvc.Undo(m, svc, i, o.undoMesh())
			}
		})
		return struct{}{}, nil
	})
	return items, slices.Contains(stays, true)
}

// recordMembers finds the member of each recorded item, by the cluster's UID or else by its context.
func recordMembers(sel *clusters.Selection, rec *annotate.Record) (targets, byItem []*clusters.Member, err error) {
	seen := map[*clusters.Member]bool{}
	for _, i := range rec.Items {
		var found *clusters.Member
		for _, m := range sel.Members {
			if i.ClusterUID != "" && m.UID == i.ClusterUID || (m.UID == "" || i.ClusterUID == "") && m.Context == i.Context {
				found = m
			}
		}
		if found == nil {
			return nil, nil, fmt.Errorf("cluster %q (context %s) of the record is not among the clusters that are read, or it was rebuilt since; name its context with --contexts", i.Cluster, i.Context)
		}
		if !seen[found] {
			seen[found] = true
			targets = append(targets, found)
		}
		byItem = append(byItem, found)
	}
	return targets, byItem, nil
}
