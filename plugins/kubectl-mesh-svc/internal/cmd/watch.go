package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

// watch prints the list and then what changes of it, until it is interrupted.
func (o *listOptions) watch(ctx context.Context) error {
	if o.out.IsList() && !o.out.IsTable() {
		return fmt.Errorf("--watch prints tables or documents; --output %q cannot be used with it", o.out.Format)
	}
	sel, err := o.selectMembers(ctx)
	if err != nil {
		return err
	}
	q := o.query(o.flags.Namespace(sel.Home()))
	stream, err := o.out.Stream(o.Out)
	if err != nil {
		return err
	}
	w := meshstate.Watch(ctx, sel.Members, o.flags.Timeout, q, o.flags.Identify)
	tracker := globalsvc.NewTracker(o.all)
	for first := true; ; first = false {
		update, err := w.Next(ctx)
		if err != nil {
			// Ctrl-C is how a watch ends: there is nothing to say about it.
			return &cli.ExitError{Code: cli.ExitInterrupted}
		}
		o.sayUnseen(sel.Members)
		for _, m := range update.Members {
			if m.Err != nil {
				output.Unread(o.ErrOut, m.Member.Label(), string(m.Err.Class), m.Err)
			} else {
				output.Say(o.ErrOut, "cluster %s is read again", m.Member.Label())
			}
		}
		if first && len(sel.Failed()) == len(sel.Members) {
			return &cli.ExitError{Code: cli.ExitNoAnswer, Err: errors.New("no cluster could be read")}
		}
		keys := slices.DeleteFunc(update.Keys, func(k routing.Key) bool { return !o.wants(k) })
		if len(update.Members) > 0 && !first {
			keys = mergeKeys(keys, tracker.Keys())
		}
		doc := tracker.Changed(w.State(keys), sel.Members, keys)
		if first && len(doc.Services) == 0 && o.out.IsTable() {
			o.noneFound(q.Namespace, o.all)
		}
		// A document that says nothing is printed at the start only, where it says that there is nothing.
		if len(doc.Services) > 0 || first && !o.out.IsTable() {
			if err := stream.Print(doc, view.Watch(doc, o.allNamespaces)); err != nil {
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
