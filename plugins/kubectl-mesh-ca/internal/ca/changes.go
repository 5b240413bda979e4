package ca

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// Report returns the plan, or its results, as a document for scripts. Secrets are shown as fingerprints.
func (p *Plan) Report(members []*clusters.Member, dryRun string) v1alpha1.CAChangeReport {
	r := v1alpha1.CAChangeReport{ChangeReport: v1alpha1.ChangeReport{
		Document: clusters.Document("CAChangeReport", members), Action: p.Action, DryRun: dryRun, Changes: []v1alpha1.Change{},
	}}
	for _, i := range p.Items {
		r.Changes = append(r.Changes, i.changes()...)
		if i.Incomplete() {
			r.Complete = false
		}
		if undo := i.undo(); undo != "" {
			r.UndoCommands = append(r.UndoCommands, undo)
		}
	}
	r.NextSteps = p.next()
	return r
}

// next returns the steps in each cluster that has or gets the CA, and in each cluster that has copies of its certificates.
func (p *Plan) next() []v1alpha1.NextStep {
	var renewed, all []*State
	for _, i := range p.Items {
		switch i.Result {
		case v1alpha1.ResultChanged, v1alpha1.ResultUnchanged:
			renewed = append(renewed, i.State)
		case v1alpha1.ResultPlanned:
			if !i.Skipped { // a plan that is shown
				renewed = append(renewed, i.State)
			}
		}
		all = append(all, i.State)
	}
	if len(renewed) == 0 {
		return nil
	}
	if p.From != nil {
		all = append(all, p.From)
	}
	all = append(all, p.Others...)
	var out, last []v1alpha1.NextStep
	changed := renewed
	if p.From != nil && len(p.From.staleCertificates(p.Signer)) > 0 { // its leaf certificates are renewed too
		changed = append(slices.Clone(renewed), p.From)
	}
	for _, s := range all {
		mine := slices.Contains(renewed, s) || s == p.From
		if mine {
			out = append(out, p.values(s)...)
			steps := Next(s, p.Signer, p.Now)
			out = append(out, steps...)
			last = append(last, s.agentsAfter(steps)...)
		}
		bundles := s.bundles()
		for _, other := range changed {
			out = append(out, s.followed(other, p.Signer, bundles, p.Now)...)
		}
	}
	return append(out, last...)
}

// Values returns the steps after which the values of releases no longer overwrite the CA.
func (p *Plan) Values() []v1alpha1.NextStep {
	var out []v1alpha1.NextStep
	for _, i := range p.Items {
		out = append(out, p.values(i.State)...)
	}
	return out
}

// Targets names the clusters whose CA is replaced.
func (p *Plan) Targets() []string {
	out := make([]string, len(p.Items))
	for n, i := range p.Items {
		out[n] = i.State.Member.Name
	}
	return out
}

// values returns the step after which the values of a release no longer overwrite the CA.
func (p *Plan) values(s *State) []v1alpha1.NextStep {
	if s == p.From || !s.Values.SetsCA || p.source.cert == nil || s.undoes(p.source.cert) == "" {
		return nil
	}
	where := "the values of release " + s.Release.Name
	if s.Chart.Controller {
		where = "HelmChartConfig " + s.Release.Name
	}
	return []v1alpha1.NextStep{{Cluster: s.Member.Name, Reason: fmt.Sprintf("remove %stls.ca.cert and %stls.ca.key from %s, and from the file that it is installed from: otherwise the next upgrade writes the previous CA again", s.Values.Prefix, s.Values.Prefix, where)}}
}

func (i *Item) changes() []v1alpha1.Change {
	at := v1alpha1.Change{Cluster: i.State.Member.Name, Context: i.State.Member.Context, Namespace: i.State.Namespace}
	var out []v1alpha1.Change
	if i.Backup != nil && (i.Result != v1alpha1.ResultRefused && i.Result != v1alpha1.ResultFailed || i.Backup.Result != v1alpha1.ResultPlanned) {
		c := at
		c.Object, c.Result, c.Message = "secret/"+i.Backup.Object.Name, i.Backup.Result, i.Backup.Message
		c.After = i.Before.values()
		if c.Result == v1alpha1.ResultUnchanged {
			c.Before = c.After
		}
		out = append(out, c)
	}
	c := at
	c.Object, c.Result, c.Message = "secret/"+i.name, i.Result, i.Message
	c.Before, c.After = i.Before.values(), i.After.values()
	if c.Message == "" && (i.Result == v1alpha1.ResultPlanned || i.Result == v1alpha1.ResultChanged) {
		c.Message = strings.Join(i.Notes, "; ")
	}
	return append(out, c)
}

// values returns the facts by name; a missing fact is null.
func (f Facts) values() map[string]*string {
	get := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return map[string]*string{"fingerprint": get(f.Fingerprint), "subject": get(f.Subject), "key": get(f.Key)}
}

// undo returns the command that undoes this item; "" if nothing was written.
func (i *Item) undo() string {
	if !i.Written {
		return ""
	}
	if i.Backup == nil {
		return i.State.kubectl("delete", "secret", i.name)
	}
	return plugin([]*clusters.Member{i.State.Member}, "restore", "--in", i.State.Member.Name, "--backup", i.Backup.Object.Name)
}
