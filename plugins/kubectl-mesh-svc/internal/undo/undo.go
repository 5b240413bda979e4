// Package undo restores what a change recorded before it wrote.
package undo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/write"
)

// Config says what is undone.
type Config struct {
	kernel.Write

	// Select finds the members: those of the flags or, where these choose none, those of the given contexts.
	Select func(ctx context.Context, contexts []string) (*clusters.Selection, error)
	Chosen bool // the flags choose the clusters
	Record *annotate.Record
	Retry  []string // the words of this command
}

// errChanged: not everything is as it was before the change.
var errChanged = errors.New("not everything could be restored; values that were changed since then were not modified")

// run is one undo on its way.
type run struct {
	Config
	ui kernel.UI

	mesh commandline.Mesh // the clusters that were read
	// whole is the clusters of a command about a drain, for which all clusters of the mesh count.
	whole commandline.Mesh
}

// Run restores the previous values that the record holds.
func Run(ctx context.Context, c Config, ui kernel.UI) (*write.Report, error) {
	var contexts []string
	if !c.Chosen {
		for _, i := range c.Record.Items {
			contexts = append(contexts, i.Context)
		}
	}
	sel, err := c.Select(ctx, contexts)
	if err != nil {
		return nil, err
	}
	r := &run{Config: c, ui: ui, mesh: commandline.MeshOf(sel.Members)}
	if r.whole = r.mesh; !c.Chosen && len(sel.Members) > 0 {
		// The record names the clusters that were written. A drain was planned with all clusters of the mesh, and is undone with them.
		r.whole = sel.Members[0].Origin().Mesh()
	}
	return r.undo(ctx, sel)
}

// drainCommand is a command about a drain.
func (r *run) drainCommand(verb, cluster string) string {
	return plugin.Command(r.whole, "", verb, r.whole.Cluster(cluster))
}

func (r *run) undo(ctx context.Context, sel *clusters.Selection) (*write.Report, error) {
	for _, prefix := range []string{"undrain ", "undo drain "} {
		if cluster, ok := strings.CutPrefix(r.Record.Action, prefix); ok {
			return nil, fmt.Errorf("to undo %q would take %s out of service again without a check of what its clients are left with; nothing was changed. To drain it after that check, run: %s",
				r.Record.Action, cluster, r.drainCommand("drain", cluster))
		}
	}
	action := "undo " + r.Record.Action
	targets, byItem, err := r.members(sel)
	if err != nil {
		return nil, err
	}
	if err := write.Reachable(targets, r.AllowPartial, "--contexts", r.ui); err != nil {
		return write.NotBegun(action, targets, r.DryRun, err)
	}
	plan := &annotate.Plan{Action: action, Manager: r.Manager, Former: r.Record.Manager}
	items, left := r.items(ctx, byItem)
	if ctx.Err() != nil {
		return write.NotBegun(action, targets, r.DryRun, ctx.Err())
	}
	for _, i := range items {
		if i != nil {
			plan.Items = append(plan.Items, i)
		}
	}
	change := write.Change{Write: r.Write, Plan: plan, Targets: targets, Literal: true, Undo: r.redo(),
		Retry: plugin.Command(r.mesh, "", r.Retry...)}
	if plan.Failed() && !r.AllowPartial {
		return change.Refuse(errors.New("not every Service of the record could be read; nothing was changed"))
	}
	report, err := write.CarryOut(ctx, change, r.ui)
	if err != nil {
		return report, err
	}
	if cluster, drained := strings.CutPrefix(r.Record.Action, "drain "); drained && r.DryRun == cli.DryRunNone {
		r.ui.Note("the record of the drain still exists; to delete it, run: %s", r.drainCommand("undrain", cluster))
	}
	if left {
		return report, errChanged
	}
	return report, nil
}

// redo is the command that undoes the undo. That of a drain is the drain, which checks what clients are left with.
func (r *run) redo() func(file string) string {
	if cluster, drained := strings.CutPrefix(r.Record.Action, "drain "); drained {
		return func(string) string { return r.drainCommand("drain", cluster) }
	}
	return func(file string) string { return plugin.Command(r.mesh, "", "undo", file) }
}

// items reads the Services of the record, all members at once, and plans each item. An item of a member that could not be read is nil.
// left reports whether anything stays as somebody else made it.
func (r *run) items(ctx context.Context, byItem []*clusters.Member) (items []*annotate.Item, left bool) {
	of := map[*clusters.Member][]int{}
	var members []*clusters.Member
	for n, m := range byItem {
		if of[m] == nil {
			members = append(members, m)
		}
		of[m] = append(of[m], n)
	}
	items = make([]*annotate.Item, len(byItem))
	stays := make([]bool, len(byItem))
	fanout.Each(ctx, members, 0, func(ctx context.Context, m *clusters.Member) (struct{}, error) {
		fanout.Parallel(ctx, len(of[m]), func(n int) {
			at := of[m][n]
			items[at], stays[at] = r.item(ctx, m, r.Record.Items[at])
		})
		return struct{}{}, nil
	})
	return items, slices.Contains(stays, true)
}

// item plans one Service.
func (r *run) item(ctx context.Context, m *clusters.Member, recorded annotate.RecordItem) (item *annotate.Item, left bool) {
	svc, err := fanout.Within(ctx, r.Change.Timeout, func(ctx context.Context) (*corev1.Service, error) {
		return m.Client.CoreV1().Services(recorded.Namespace).Get(ctx, recorded.Name, metav1.GetOptions{})
	})
	switch {
	case apierrors.IsNotFound(err):
		return annotate.Absent(m, recorded.Namespace, recorded.Name), true
	case err != nil:
		item = annotate.Absent(m, recorded.Namespace, recorded.Name)
		item.Result, item.Message = v1alpha1.ResultFailed, "it could not be read: "+failure.Explain(err).Error()
		return item, false
	}
	return planItem(m, svc, recorded, r.whole)
}

// members finds the member of each recorded item, by the cluster's UID or else by its context.
func (r *run) members(sel *clusters.Selection) (targets, byItem []*clusters.Member, err error) {
	seen := map[*clusters.Member]bool{}
	for _, i := range r.Record.Items {
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
