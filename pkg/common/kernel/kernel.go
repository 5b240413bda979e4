// Package kernel is what the command lines of the three plugins share beyond cobra: the streams, how clusters are chosen, what a person is told about
// them, incomplete results, and the flags of commands that write.
package kernel

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// Env is what the commands of one plugin work with. It does not change once a command runs.
type Env struct {
	genericiooptions.IOStreams
	Flags *clusters.Flags
	Now   func() time.Time
	// Find finds the members in some contexts or, without any, those that the flags choose, and tells found of them meanwhile. Tests replace it.
	Find func(ctx context.Context, found clusters.Found, contexts ...string) (*clusters.Selection, error)
}

// New returns the environment of a plugin.
func New(streams genericiooptions.IOStreams) *Env {
	e := &Env{IOStreams: streams, Flags: clusters.NewFlags(), Now: time.Now}
	e.Find = e.Flags.SelectIn
	return e
}

// Attach gives a root command the flags that choose clusters, and tells the user what these wait for.
func (e *Env) Attach(root *cobra.Command) {
	e.Flags.AddFlags(root.PersistentFlags())
	e.Flags.Progress = func(line string) { e.Say("%s", line) }
	e.Flags.ServerProgress = output.IsTerminal(e.ErrOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return err })
}

// Complete lets the shell complete the flags that name contexts and clusters, and those that must be one of a few words, and lets commands end with the warnings
// of API servers. It is called when all commands are there, with what they run.
func (e *Env) Complete(root *cobra.Command, clusterFlags ...string) {
	for _, flag := range []string{"contexts", "context"} {
		cli.CompleteFlag(root, flag, e.Flags.ContextNames)
	}
	for _, flag := range clusterFlags {
		cli.CompleteFlag(root, flag, e.Flags.MemberNames)
	}
	cli.CompleteChoices(root)
	e.sayLater(root)
}

// sayLater makes a command and its subcommands print, at their end, what API servers warned of since the selection, such as the warning of an
// admission webhook about a write. kubectl prints it too.
func (e *Env) sayLater(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		e.sayLater(sub)
	}
	run := cmd.RunE
	if run == nil {
		return
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		for _, w := range e.Flags.Warnings.Lines() {
			e.Warn("%s", w)
		}
		return err
	}
}

// Select finds the members, and tells the user what there is to know about the choice.
func (e *Env) Select(ctx context.Context) (*clusters.Selection, error) { return e.SelectIn(ctx, nil) }

// SelectIn finds the members in some contexts; without any it is Select.
func (e *Env) SelectIn(ctx context.Context, contexts []string) (*clusters.Selection, error) {
	return e.choose(ctx, nil, contexts)
}

// SelectEarly is Select, and tells found of members while others are still asked.
func (e *Env) SelectEarly(ctx context.Context, found clusters.Found) (*clusters.Selection, error) {
	return e.choose(ctx, found, nil)
}

func (e *Env) choose(ctx context.Context, found clusters.Found, contexts []string) (*clusters.Selection, error) {
	sel, err := e.Find(ctx, found, contexts...)
	for _, w := range sel.Warnings {
		e.Warn("%s", w)
	}
	if err != nil {
		return nil, err
	}
	for _, n := range sel.Notes {
		e.Note("%s", n)
	}
	return sel, nil
}

// Say prints one line on stderr, without control characters.
func (e *Env) Say(format string, args ...any) { output.Say(e.ErrOut, format, args...) }

// Note prints what is worth knowing.
func (e *Env) Note(format string, args ...any) { e.Say("Note: "+format, args...) }

// Warn prints what may go wrong.
func (e *Env) Warn(format string, args ...any) { e.Say("Warning: "+format, args...) }

// Unread prints which of the members could not be read, and returns their names.
func (e *Env) Unread(members ...*clusters.Member) []string {
	var names []string
	for _, m := range members {
		if m.Err != nil {
			output.Unread(e.ErrOut, m.Label(), string(m.Err.Class), m.Err)
			names = append(names, m.Name)
		}
	}
	return names
}

// Unseen prints what could not be seen because a permission is missing since the last call.
func (e *Env) Unseen(members []*clusters.Member) {
	for _, line := range clusters.TakeUnseen(members) {
		e.Warn("%s", line)
	}
}

// Incomplete prints which members could not be read, and returns the exit code of a reading command for that; nil when all were read.
func (e *Env) Incomplete(ctx context.Context, members []*clusters.Member) error {
	e.Unseen(members)
	missing := e.Unread(members...)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(missing) == 0:
		return nil
	}
	return &cli.ExitError{Code: cli.ExitNoAnswer, Err: fmt.Errorf("%d of %d clusters could not be read; the result is not complete", len(missing), len(members))}
}
