package reissue

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// report is what became of the plan; planned: before anything was written.
func (w *Work) report(planned bool) *Report {
	doc := newDocument(w.Write, w.Members)
	w.Fill(&doc, planned)
	var members []*clusters.Member
	for _, s := range w.States {
		members = append(members, s.Member)
	}
	return &Report{CAChangeReport: doc, Status: ca.Command(members, "status"), Begun: true}
}

// Fill adds to a document what is planned, or what was done.
func (w *Work) Fill(doc *v1alpha1.CAChangeReport, planned bool) {
	for _, c := range w.clusters {
		for _, t := range c.tasks {
			for _, ph := range t.phases {
				for _, s := range ph.Steps {
					w.add(doc, s)
				}
			}
		}
		w.addLeaves(doc, c, planned)
		if planned {
			for _, s := range c.probes {
				w.add(doc, s)
			}
		}
	}
	for _, s := range w.written {
		w.add(doc, s)
	}
	doc.Waiting = w.waiting
	doc.Phases = append(doc.Phases, w.phaseList(planned)...)
	doc.NextSteps = append(doc.NextSteps, w.next()...)
	if w.declined {
		doc.Complete = doc.Complete && len(doc.Changes) == 0
	}
	if !planned && !w.ended {
		doc.RetryCommand = w.goOn()
		if len(w.waiting) > 0 || len(w.withAgents()) > 0 {
			doc.Complete = false
		}
	}
}

func (w *Work) add(doc *v1alpha1.CAChangeReport, each change.Step) {
	t, o := each.Target(), each.Status()
	c := ca.ChangeOf(each)
	if o.Incomplete() {
		doc.Complete = false
	}
	switch s := each.(type) {
	case *leaf:
		c = s.Change()
		c.Before, c.After = fingerprint(s.before), fingerprint(s.after)
	case *ca.Write:
		if s.Deletes() && t.Kind.Secret && o.Result != v1alpha1.ResultFailed && o.Result != v1alpha1.ResultUnknown {
			return // what Helm makes of it is reported
		}
		c = s.Change()
	case *ca.Backup:
		c.Message, c.After = cmp.Or(c.Message, "keeps the previous leaf certificate"), fingerprint(ca.FingerprintOf(s.Object.Data))
		if o.Written || o.Result == v1alpha1.ResultUnchanged {
			if s.Serves().Status().Written {
				doc.UndoCommands = append(doc.UndoCommands, ca.Command([]*clusters.Member{t.Member}, "restore", "--in", t.Member.Name, "--backup", t.Name))
			}
		}
	}
	doc.Changes = append(doc.Changes, c)
}

func fingerprint(f string) map[string]*string {
	if f == "" {
		return map[string]*string{"fingerprint": nil}
	}
	return map[string]*string{"fingerprint": &f}
}

// addLeaves reports the leaf certificates that others issue.
func (w *Work) addLeaves(doc *v1alpha1.CAChangeReport, c *cluster, planned bool) {
	written := map[string]bool{}
	for _, t := range c.tasks {
		if t.step.Kind == ca.ActSign {
			for _, name := range t.step.Names {
				written[name] = true
			}
		}
	}
	for _, l := range c.Leaves {
		if written[l.Secret] {
			continue
		}
		m := c.State.Member
		out := v1alpha1.Change{Cluster: m.Name, Context: m.Context, Namespace: c.State.Namespace, Object: "secret/" + l.Secret, Before: fingerprint(l.Fingerprint),
			Result: v1alpha1.ResultPlanned, Message: "issued by " + l.Owner.String()}
		if w.declined || !planned {
			out.Message = "not written: the command ended before it"
		}
		if !planned {
			if now, data := w.current(c, l.Secret); now != nil {
				if why, err := c.Reissued(now, l); why == "" && err == nil {
					out.Result, out.After, out.Message = v1alpha1.ResultChanged, fingerprint(ca.FingerprintOf(data.Data)), "issued by "+l.Owner.String()
				}
			}
			if out.Result == v1alpha1.ResultPlanned {
				doc.Complete = false
			}
		}
		doc.Changes = append(doc.Changes, out)
	}
}

// current is what was read last of a cluster, and of a Secret in it.
func (w *Work) current(c *cluster, secret string) (*ca.State, *corev1.Secret) {
	for _, s := range w.States {
		if s.Member == c.State.Member && s.Secrets[secret].Object != nil {
			return s, s.Secrets[secret].Object
		}
	}
	return nil, nil
}

// phaseList lists the phases: those that were done, or those that are planned.
func (w *Work) phaseList(planned bool) []v1alpha1.ChangePhase {
	all := []v1alpha1.ChangePhase{}
	if in := w.renewed(); len(in) > 0 {
		p := v1alpha1.ChangePhase{Name: phaseIssue, Clusters: names(in)}
		for _, c := range in {
			p.Descriptions = append(append(p.Descriptions, c.text()), c.helmCommands()...)
		}
		all = append(all, p)
	}
	if in := w.restarting(); len(in) > 0 {
		all = append(all, v1alpha1.ChangePhase{Name: phaseRestart, Clusters: names(in), Descriptions: []string{"clustermesh-apiserver, one cluster after the other, each until it is connected again"}})
	}
	if in := w.withAgents(); len(in) > 0 {
		all = append(all, v1alpha1.ChangePhase{Name: phaseAgents, Clusters: names(in), Descriptions: []string{"when every KVStoreMesh is connected: the agents of each cluster in which they have not read the CA by then"}})
	}
	if planned {
		return all
	}
	out := []v1alpha1.ChangePhase{}
	for _, p := range all {
		if n := slices.IndexFunc(w.phases, func(d phaseDone) bool { return d.name == p.Name }); n >= 0 {
			took := w.phases[n].took.Milliseconds()
			p.TookMs, p.Clusters = &took, w.phases[n].names
		} else if w.ended {
			continue // no agent was behind
		}
		out = append(out, p)
	}
	return out
}

// text says who issues the leaf certificates of a cluster again.
func (c *cluster) text() string {
	var by []string
	for _, l := range c.Leaves {
		who := string(l.Owner.Kind)
		if l.Owner.Kind == pki.OwnerHelm { // the name is that of the release; others have one for each certificate
			who = l.Owner.String()
		}
		if !slices.Contains(by, who) {
			by = append(by, who)
		}
	}
	how := "done by this command"
	switch {
	case len(c.printed) > 0 && len(c.tasks) > 0:
		how = "done by this command and, where its commands are printed, by you"
	case len(c.printed) > 0:
		how = "you run the commands that are printed; this command waits"
	}
	return fmt.Sprintf("%s: %d leaf certificates (%s); %s", c.name(), len(c.Leaves), strings.Join(by, ", "), how)
}

// helmCommands are the upgrades that this command runs.
func (c *cluster) helmCommands() []string {
	var out []string
	for _, t := range c.tasks {
		if t.helm {
			out = append(out, c.name()+": runs "+t.step.Command)
		}
	}
	return out
}

// next lists what this command has not done and does not do.
func (w *Work) next() []v1alpha1.NextStep {
	var out, last []v1alpha1.NextStep
	for _, c := range w.clusters {
		for _, s := range c.printed {
			if !w.issued {
				out = append(out, s.NextStep)
			}
		}
		if c.restarts && !w.Restart {
			for _, s := range c.Steps {
				if s.Kind == ca.ActRestart {
					out = append(out, s.NextStep)
				}
			}
			last = append(last, c.State.AgentsAfter(c.Steps)...)
		}
	}
	for _, s := range ca.Followed(w.States, w.Renewals, w.Clock.Now()) {
		out = append(out, s.NextStep)
	}
	return append(out, last...)
}
