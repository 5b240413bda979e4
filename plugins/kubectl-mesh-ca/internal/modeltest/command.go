package modeltest

import (
	"context"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// Write is how the commands write.
func Write() kernel.Write {
	return kernel.Write{DryRun: cli.DryRunNone, Manager: "mesh-ca", Change: change.Options{Timeout: time.Minute, AccessOnly: true}}
}

// UI answers every question with yes.
type UI struct{ T testing.TB }

// Say logs what a person would read.
func (u UI) Say(format string, args ...any) { u.T.Logf(format, args...) }

// Note is not logged.
func (UI) Note(string, ...any) {}

// Warn logs what a person would read.
func (u UI) Warn(format string, args ...any) { u.T.Logf("Warning: "+format, args...) }

// Unread returns the names of those that could not be read.
func (UI) Unread(members ...*clusters.Member) []string {
	var out []string
	for _, m := range members {
		if m.Err != nil {
			out = append(out, m.Name)
		}
	}
	return out
}

// Unseen says nothing.
func (UI) Unseen([]*clusters.Member) {}

// Confirm says yes.
func (UI) Confirm(context.Context, string) error { return nil }

// Progress shows nothing.
func (UI) Progress() (events func(change.Event), end func()) { return nil, func() {} }

// Show shows nothing.
func (UI) Show(func(bool) []output.Section, bool) error { return nil }
