// Package replace replaces the CA of clusters: with that of another cluster (sync), or with one that was kept (restore).
package replace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/archive"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/reissue"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

// Config is what both commands have in common.
type Config struct {
	kernel.Write

	// Select finds the members.
	Select func(context.Context) (*clusters.Selection, error)
	Now    func() time.Time
	// CiliumNamespace is that of --cilium-namespace; empty where it was not given.
	CiliumNamespace string
}

// Report is what a command came to.
type Report struct {
	v1alpha1.CAChangeReport

	// Status is the command that shows who trusts whom afterwards.
	Status string
	// Begun: there is more to show to a person than why the command ended.
	Begun bool
}

// run is one replacement on its way.
type run struct {
	Config
	ui kernel.UI

	plan    *ca.Plan
	members []*clusters.Member // whose documents are reported
	left    []string           // targets that could not be read and were left out
	file    *archive.Writer    // gets a copy of the CAs that are replaced; nil for none
	after   *reissue.Work      // what follows the replacement; nil for nothing
	begun   bool               // it began to write
}

func (c Config) options() ca.Options {
	return ca.Options{ForceConflicts: c.ForceConflicts, Manager: c.Manager, Timeout: c.Change.Timeout}
}

// carryOut checks the plan, asks, and carries it out.
func (r *run) carryOut(ctx context.Context) (*Report, error) {
	if r.plan.Failed() && !r.AllowPartial {
		r.plan.Change().Stop()
		return r.report(errors.New("the plan cannot be carried out in every cluster; nothing was written in any cluster"))
	}
	idle := r.after == nil || r.after.Idle()
	if len(r.plan.Pending()) == 0 && idle || r.DryRun == cli.DryRunClient {
		return r.report(nil)
	}
	steps := r.plan.Change()
	if err := r.preflight(ctx, steps); err != nil {
		return r.report(err)
	}
	if r.DryRun == cli.DryRunServer {
		return r.report(nil)
	}
	if err := r.ui.Show(func(bool) []output.Section { return view.Plan(r.document()) }, true); err != nil {
		return nil, err
	}
	if err := r.ui.Confirm(ctx, r.question()); err != nil {
		steps.Stop()
		report, err := r.report(err)
		report.Begun = false
		return report, err
	}
	if err := r.copyToFile(ctx); err != nil {
		steps.Stop()
		return r.report(err)
	}
	events, end := r.ui.Progress()
	r.Change.Events = events
	err := steps.Apply(ctx, r.Change)
	end()
	if err == nil && r.after != nil {
		r.begun = true
		err = r.after.Apply(ctx)
	}
	return r.report(err)
}

// preflight checks the replacement, and what follows it.
func (r *run) preflight(ctx context.Context, steps *change.Plan) error {
	if len(r.plan.Pending()) > 0 {
		if err := steps.Preflight(ctx, r.Change); err != nil {
			return err
		}
	}
	if r.after == nil {
		return nil
	}
	if err := r.after.Preflight(ctx); err != nil {
		steps.Stop()
		return err
	}
	return nil
}

// question is what a person is asked, once for everything.
func (r *run) question() string {
	switch {
	case r.after == nil || r.after.Idle():
		return r.plan.Question()
	case len(r.plan.Pending()) == 0:
		return r.after.Question()
	}
	return r.plan.Question() + " " + r.after.Question()
}

// document describes the plan, or what became of it.
func (r *run) document() v1alpha1.CAChangeReport {
	doc := r.plan.Report(r.members, string(r.DryRun))
	if r.after == nil {
		return doc
	}
	doc.NextSteps = r.plan.Values()
	r.after.Fill(&doc, !r.begun)
	if !r.after.Idle() && len(r.plan.Pending())+len(r.plan.Items) > 0 {
		doc.Phases = append([]v1alpha1.ChangePhase{{Name: "sync", Clusters: r.plan.Targets(), Descriptions: []string{"cilium-ca is replaced, as listed above"}}}, doc.Phases...)
	}
	return doc
}

// copyToFile writes the CAs that are about to be replaced into the encrypted file. Those that were read are those that are replaced: a CA that was changed
// since has another resourceVersion, and its replacement fails.
func (r *run) copyToFile(ctx context.Context) error {
	if r.file == nil {
		return nil
	}
	entries, err := r.plan.Replaced()
	if err != nil {
		return fmt.Errorf("--backup-file: %w; nothing was written in any cluster", err)
	}
	if len(entries) == 0 {
		r.ui.Note("%s was not written: no CA is replaced", r.file.Path)
		return nil
	}
	if _, err := r.file.Write(ctx, archive.File{Created: r.Now().UTC(), Clusters: entries}); err != nil {
		return fmt.Errorf("--backup-file: %w; nothing was written in any cluster", err)
	}
	r.ui.Say("The previous CAs (%d) are also in %s, encrypted; to restore one from there, use restore --file.", len(entries), r.file.Path)
	return nil
}

// beforeCilium lets a target be a cluster in which Cilium is not installed yet: its CA is made for the coming installation. The namespace must then be
// given. The caller makes sure that the target was named.
func (c Config) beforeCilium(targets []*clusters.Member, ui kernel.UI) []*clusters.Member {
	out := slices.Clone(targets)
	for n, m := range targets {
		if m.Err == nil || m.Err.Class != failure.NoCilium {
			continue
		}
		if c.CiliumNamespace == "" {
			ui.Note("to make the CA of %s before Cilium is installed there, say where with --cilium-namespace", m.Label())
			continue
		}
		out[n] = m.BeforeCilium(c.CiliumNamespace)
	}
	return out
}

// report says what became of each object. The error of a plan that was not carried out as a whole is one too.
func (r *run) report(failure error) (*Report, error) {
	if failure != nil && r.after != nil && !r.begun {
		r.after.Stop()
	}
	report := &Report{CAChangeReport: r.document(), Status: r.plan.Status(r.members), Begun: true}
	switch {
	case failure != nil:
		return report, failure
	case len(r.left) > 0:
		return report, fmt.Errorf("%s could not be read and was left out", strings.Join(r.left, ", "))
	case r.plan.Failed():
		return report, errors.New("not everything was done")
	}
	return report, nil
}

// unwritten is the report of a change that was not begun.
func (c Config) unwritten(action string, members []*clusters.Member, failure error) (*Report, error) {
	doc := (&ca.Plan{Action: action}).Report(members, string(c.DryRun))
	doc.Complete = false
	return &Report{CAChangeReport: doc}, failure
}

// observe reads the members that are neither source nor target, for what they keep of the clusters that change.
func (r *run) observe(ctx context.Context, others []*clusters.Member) {
	read := ca.ReadAll(ctx, others, r.Change.Timeout)
	r.plan.Others = read.States
	var unread []string
	for _, m := range read.Members {
		if m.Err != nil {
			unread = append(unread, m.Label())
		}
	}
	if len(unread) > 0 {
		r.ui.Note("%s could not be read: cannot determine whether copies of certificates that change are kept there", strings.Join(unread, ", "))
	}
}
