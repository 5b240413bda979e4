package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/inspect"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

// watch prints the list and then what changes of it, until it is interrupted.
func watch(ctx context.Context, e *kernel.Env, out *output.Flags, c inspect.Config) error {
	if out.IsList() && !out.IsTable() {
		return fmt.Errorf("--watch prints tables or documents; --output %q cannot be used with it", out.Format)
	}
	stream, err := out.Stream(e.Out)
	if err != nil {
		return err
	}
	err = inspect.Watch(ctx, c, e.Flags.Identify, func(u inspect.Update) error {
		e.Unseen(u.Members)
		for _, m := range u.Changed {
			if m.Err != nil {
				output.Unread(e.ErrOut, m.Member.Label(), string(m.Err.Class), m.Err)
			} else {
				e.Say("cluster %s is read again", m.Member.Label())
			}
		}
		if u.First && u.None() {
			return &cli.ExitError{Code: cli.ExitNoAnswer, Err: errors.New("no cluster could be read")}
		}
		if u.First && len(u.Doc.Services) == 0 && out.IsTable() {
			noneFound(e, u.Namespace, c.All || len(c.Names) > 0)
		}
		// A document that says nothing is printed at the start only, where it says that there is nothing.
		if len(u.Doc.Services) > 0 || u.First && !out.IsTable() {
			return stream.Print(u.Doc, view.Watch(u.Doc, c.AllNamespaces))
		}
		return nil
	})
	if ctx.Err() != nil {
		// Ctrl-C is how a watch ends: there is nothing to say about it.
		return &cli.ExitError{Code: cli.ExitInterrupted}
	}
	return err
}
