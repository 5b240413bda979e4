package ca

import (
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// Report returns the plan, or what became of it, as the document that scripts read. Secrets stand as fingerprints.
func (p *Plan) Report(members []*clusters.Member, dryRun string) v1alpha1.CAChangeReport {
	r := v1alpha1.CAChangeReport{ChangeReport: v1alpha1.ChangeReport{
		Document: clusters.Document("ChangeReport", members), Action: p.Action, DryRun: dryRun, Changes: []v1alpha1.Change{},
	}}
	for _, i := range p.Items {
		r.Changes = append(r.Changes, i.changes()...)
		if i.Result == v1alpha1.ResultUnknown {
			r.Complete = false
		}
		if undo := i.undo(p.Again); undo != "" {
			r.Undo = append(r.Undo, undo)
		}
		switch i.Result {
		case v1alpha1.ResultChanged, v1alpha1.ResultUnchanged, v1alpha1.ResultPlanned:
			r.Next = append(r.Next, Next(i.State, p.Signer)...)
		}
	}
	if p.From != nil {
		r.Next = append(r.Next, Next(p.From, p.Signer)...)
	}
	return r
}

func (i *Item) changes() []v1alpha1.Change {
	at := v1alpha1.Change{Cluster: i.State.Member.Name, Context: i.State.Member.Context, Namespace: i.State.Namespace}
	var out []v1alpha1.Change
	if i.Backup != nil && (i.Result != v1alpha1.ResultRefused && i.Result != v1alpha1.ResultFailed || i.Backup.Result != v1alpha1.ResultPlanned) {
		c := at
		c.Object, c.Result = "secret/"+i.Backup.Object.Name, i.Backup.Result
		c.After = i.Before.values()
		if c.Result == v1alpha1.ResultUnchanged {
			c.Before = c.After
		}
		out = append(out, c)
	}
	c := at
	c.Object, c.Result, c.Message = "secret/"+pki.SecretCA, i.Result, i.Message
	c.Before, c.After = i.Before.values(), i.After.values()
	if c.Message == "" && i.Result == v1alpha1.ResultPlanned {
		c.Message = strings.Join(i.Notes, "; ")
	}
	return append(out, c)
}

// values are the facts by name; a fact that there is none of stands as null.
func (f Facts) values() map[string]*string {
	get := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return map[string]*string{"fingerprint": get(f.Fingerprint), "subject": get(f.Subject), "key": get(f.Key)}
}

// undo is the command that takes this item back; empty when nothing was written.
func (i *Item) undo(again string) string {
	if !i.wrote {
		return ""
	}
	if i.Backup == nil {
		return i.State.kubectl("delete secret " + pki.SecretCA)
	}
	return fmt.Sprintf("kubectl mesh-ca restore --contexts %s --in %s --backup %s%s", clusters.Quote(i.State.Member.Context), clusters.Quote(i.State.Member.Name), i.Backup.Object.Name, again)
}
