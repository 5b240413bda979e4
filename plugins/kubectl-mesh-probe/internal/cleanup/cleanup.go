// Package cleanup finds what probes have left in the clusters, such as after a kill -9, and deletes the helper pods among it. Ephemeral containers
// are only listed, because Kubernetes cannot remove them.
package cleanup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/helper"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/view"
)

// Config says where to look.
type Config struct {
	kernel.Write

	Select func(context.Context) (*clusters.Selection, error)
	// Namespace returns the namespace, AllNamespaces replaces it.
	Namespace     func(home *clusters.Member) string
	AllNamespaces bool
}

// Report is what cleanup came to. Begun: there is more to show to a person than why it ended.
type Report struct {
	v1alpha1.ProbeCleanupReport

	Begun bool
}

type cleanup struct {
	Config
	members []*clusters.Member
	plan    *change.Plan
	pods    []found
	others  []found // ephemeral containers
	unread  []string
}

// found is a leftover of a member.
type found struct {
	helper.Leftover
	member *clusters.Member
	step   change.Step // nil for an ephemeral container
}

// Run finds what is left, asks, and deletes the helper pods.
func Run(ctx context.Context, c Config, ui kernel.UI) (*Report, error) {
	selection, err := c.Select(ctx)
	if err != nil {
		return nil, err
	}
	namespace := ""
	if !c.AllNamespaces {
		namespace = c.Namespace(selection.Home())
	}
	r := &cleanup{Config: c, plan: &change.Plan{Action: "delete", Phases: []*change.Phase{{}}}}
	r.find(ctx, selection.Members, namespace, ui)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if len(r.unread) == len(r.members) {
		return nil, fmt.Errorf("%s could not be read; nothing was deleted", strings.Join(r.unread, ", "))
	}
	begun, err := r.carryOut(ctx, ui)
	if err == nil && len(r.unread) > 0 {
		err = fmt.Errorf("%s could not be read; there may be more", strings.Join(r.unread, ", "))
	}
	return &Report{ProbeCleanupReport: r.report(), Begun: begun}, err
}

// find reads the pods of all members. A member that cannot be read does not keep the others from being cleaned up.
func (r *cleanup) find(ctx context.Context, members []*clusters.Member, namespace string, ui kernel.UI) {
	for _, result := range fanout.Each(ctx, members, 0, func(ctx context.Context, m *clusters.Member) ([]helper.Leftover, error) {
		return helper.Find(ctx, m.Client, namespace, r.Change.Timeout)
	}) {
		m := result.Member
		if result.Err != nil {
			m = m.WithError(result.Err)
		}
		r.members = append(r.members, m)
		for _, l := range result.Value {
			f := found{Leftover: l, member: m}
			if l.Kind == helper.Ephemeral {
				r.others = append(r.others, f)
				continue
			}
			f.step = helper.Remove(m, l)
			r.plan.Phases[0].Steps = append(r.plan.Phases[0].Steps, f.step)
			r.pods = append(r.pods, f)
		}
	}
	if ctx.Err() == nil {
		r.unread = ui.Unread(r.members...)
	}
}

// carryOut checks, shows, asks and deletes. begun is false if the person who was asked, or the missing terminal, ended it.
func (r *cleanup) carryOut(ctx context.Context, ui kernel.UI) (begun bool, err error) {
	if len(r.plan.Pending()) == 0 || r.DryRun == cli.DryRunClient {
		return true, nil
	}
	if err := r.plan.Preflight(ctx, r.Change); err != nil {
		return true, err
	}
	if r.DryRun == cli.DryRunServer {
		return true, nil
	}
	if err := ui.Show(func(bool) []output.Section { return view.Cleanup(r.report()) }, true); err != nil {
		return false, err
	}
	if err := ui.Confirm(ctx, r.question()); err != nil {
		r.plan.Stop()
		return false, err
	}
	events, end := ui.Progress()
	o := r.Change
	o.Events = events
	err = r.plan.Apply(ctx, o)
	end()
	if err == nil && r.plan.Failed() {
		err = errors.New("not everything was done")
	}
	return true, err
}

func (r *cleanup) question() string {
	running := 0
	for _, p := range r.pods {
		if p.State == "running" {
			running++
		}
	}
	what := fmt.Sprintf("Delete %d helper pods?", len(r.pods))
	if len(r.pods) == 1 {
		what = fmt.Sprintf("Delete helper pod %s of %s?", r.pods[0].Pod, r.pods[0].member.Name)
	}
	if running > 0 {
		what += fmt.Sprintf(" A probe that still uses one of them ends as incomplete (%d running).", running)
	}
	return what
}

// report describes the plan, or its results.
func (r *cleanup) report() v1alpha1.ProbeCleanupReport {
	doc := v1alpha1.ProbeCleanupReport{ChangeReport: v1alpha1.ChangeReport{
		Document: clusters.Document("ProbeCleanupReport", r.members), Action: "cleanup", DryRun: string(r.DryRun), Changes: []v1alpha1.Change{},
	}, EphemeralContainers: []v1alpha1.ProbeLeftover{}, HelperPods: []v1alpha1.ProbeLeftover{}}
	for _, p := range r.pods {
		o := p.step.Status()
		doc.Changes = append(doc.Changes, v1alpha1.Change{Cluster: p.member.Name, Context: p.member.Context, Namespace: p.Namespace, Object: "pod/" + p.Pod, Result: o.Result, Message: o.Message})
		doc.HelperPods = append(doc.HelperPods, p.describe())
		doc.Complete = doc.Complete && !o.Incomplete()
	}
	for _, e := range r.others {
		doc.EphemeralContainers = append(doc.EphemeralContainers, e.describe())
	}
	return doc
}

func (f found) describe() v1alpha1.ProbeLeftover {
	out := v1alpha1.ProbeLeftover{Cluster: f.member.Name, Namespace: f.Namespace, Pod: f.Pod, Container: f.Container, Image: f.Image, State: f.State}
	if !f.Started.IsZero() {
		at := f.Started.UTC().Truncate(time.Second)
		out.StartTime = &at
	}
	return out
}
