// Package write is the writing verbs of mesh-svc: globalize, unglobalize, share, unshare and affinity. They read the mesh, plan which annotations
// change, and carry that out in all clusters or in none.
package write

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/verb"
)

// Config is one change, as the flags say it.
type Config struct {
	kernel.Write

	// Select finds the members, Namespace the namespace of the Services.
	Select    func(context.Context) (*clusters.Selection, error)
	Namespace func(home *clusters.Member) string

	Edit          verb.Edit
	Names         []string        // of Services; empty with Bulk
	Bulk          bool            // all Services that Selector matches
	Selector      labels.Selector // nil for all
	AllNamespaces bool
	IncludeSystem bool
	In            []string // clusters to change; empty for all that are read

	Local string   // the command that makes the same change in a manifest
	Retry []string // the words of this command: run again, it completes what was not written
}

// Run plans the change, checks it in every cluster, asks where it must, and carries it out.
func Run(ctx context.Context, c Config, ui kernel.UI) (*Report, error) {
	sel, err := c.Select(ctx)
	if err != nil {
		return nil, err
	}
	if sel.ContextOnly && len(c.In) == 0 {
		return nil, fmt.Errorf("with --context, %s needs --in CLUSTER, or --contexts for several clusters", c.Edit.Action)
	}
	targets := sel.Members
	if len(c.In) > 0 {
		if targets, err = sel.Resolve("--in", c.In); err != nil {
			return nil, err
		}
	}
	request := c.request(sel)
	st := meshstate.Read(ctx, sel.Members, c.Change.Timeout, c.query(request.Namespace))
	ui.Unseen(st.Members)
	targets = st.Now(targets)
	if ctx.Err() != nil {
		return NotBegun(c.Edit.Action, targets, c.DryRun, ctx.Err())
	}
	if err := Reachable(targets, c.AllowPartial, "--in or --contexts", ui); err != nil {
		return NotBegun(c.Edit.Action, targets, c.DryRun, err)
	}
	p := planner{Request: request, st: st}
	plan, err := p.plan(targets)
	if err != nil {
		return nil, err
	}
	plan.Manager, plan.Local = c.Manager, c.Local
	for _, line := range p.notes(plan) {
		ui.Note("%s", line)
	}
	return CarryOut(ctx, Change{
		Write: c.Write, Plan: plan, Targets: targets, Literal: sel.Literal || len(c.In) > 0, Note: c.Edit.Note,
		Undo:  func(file string) string { return plugin.Command(request.Mesh, "", "undo", file) },
		Retry: plugin.Command(request.Mesh, request.Namespace, c.Retry...),
	}, ui)
}

func (c Config) request(sel *clusters.Selection) verb.Request {
	r := verb.Request{Edit: c.Edit, Names: c.Names, Bulk: c.Bulk, IncludeSystem: c.IncludeSystem, Selector: c.Selector,
		Force: c.ForceConflicts, Named: sel.Named, Mesh: commandline.MeshOf(sel.Members)}
	if !c.AllNamespaces {
		r.Namespace = c.Namespace(sel.Home())
	}
	return r
}

func (c Config) query(namespace string) meshstate.Query {
	q := meshstate.Query{Namespace: namespace, Selector: c.Selector, Objects: true}
	if len(c.Names) == 1 {
		q.Name = c.Names[0]
	}
	return q
}

// Reachable refuses to begin when a target could not be read, unless partial. flags are those that choose the targets.
func Reachable(targets []*clusters.Member, partial bool, flags string, ui kernel.UI) error {
	dead := ui.Unread(targets...)
	switch {
	case len(dead) == 0:
		return nil
	case len(dead) == len(targets):
		return errors.New("no cluster to be changed could be read; nothing was changed")
	case !partial:
		return fmt.Errorf("%s could not be read; nothing was changed in any cluster. Name the clusters to change with %s, or use --allow-partial to continue without it", strings.Join(dead, ", "), flags)
	}
	return nil
}
