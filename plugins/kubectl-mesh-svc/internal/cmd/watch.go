package cmd

import (
	"context"
	"errors"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

// watch prints the list and then what changes of it, until it is interrupted.
func (e *env) watch(ctx context.Context, out *output.Flags, allNamespaces, all bool, selector labels.Selector) error {
	sel, err := e.selectMembers(ctx)
	if err != nil {
		return err
	}
	q := meshstate.Query{Selector: selector}
	if !allNamespaces {
		q.Namespace = e.flags.Namespace(sel.Home())
	}
	stream, err := out.Stream(e.Out)
	if err != nil {
		return err
	}
	w := meshstate.Watch(ctx, sel.Members, e.flags.Timeout, q, e.flags.Identify)
	tracker := globalsvc.NewTracker(all)
	for first := true; ; first = false {
		update, err := w.Next(ctx)
		if err != nil {
			// Ctrl-C is how a watch ends: there is nothing to say about it.
			return &cli.ExitError{Code: cli.ExitInterrupted}
		}
		e.sayUnseen(sel.Members)
		for _, m := range update.Members {
			if m.Err != nil {
				output.Unread(e.ErrOut, m.Member.Label(), string(m.Err.Class), m.Err)
			} else {
				output.Say(e.ErrOut, "cluster %s is read again", m.Member.Label())
			}
		}
		if first && len(sel.Failed()) == len(sel.Members) {
			return &cli.ExitError{Code: cli.ExitNoAnswer, Err: errors.New("no cluster could be read")}
		}
		keys := update.Keys
		if len(update.Members) > 0 && !first {
			keys = mergeKeys(keys, tracker.Keys())
		}
		doc := tracker.Changed(w.State(keys), sel.Members, keys)
		if first && len(doc.Services) == 0 && out.IsTable() {
			e.noneFound(q.Namespace, all)
		}
		// A document that says nothing is printed at the start only, where it says that there is nothing.
		if len(doc.Services) > 0 || first && !out.IsTable() {
			if err := stream.Print(doc, view.Watch(doc, allNamespaces)); err != nil {
				return err
			}
		}
	}
}

// mergeKeys joins two lists of Services, each once, in order.
func mergeKeys(a, b []routing.Key) []routing.Key {
	out := slices.Concat(a, b)
	slices.SortFunc(out, func(a, b routing.Key) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(out)
}
