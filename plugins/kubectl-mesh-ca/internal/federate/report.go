package federate

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// KindReport is the kind of the document.
const KindReport = "FederationReport"

// record adds what became of the writes of a phase.
func (r *run) record(p *change.Plan) {
	for _, ph := range p.Phases {
		for _, each := range ph.Steps {
			if s, ok := each.(*ca.Write); ok {
				r.report.Changes = append(r.report.Changes, s.Change())
			}
		}
	}
}

// end fills the report, whatever happened.
func (r *run) end(failure error) (v1alpha1.FederationReport, error) {
	doc := &r.report
	if r.m == nil {
		doc.Document = clusters.Document(KindReport, r.members)
		doc.Complete = false
	} else {
		r.fill()
		doc.Complete = !slices.ContainsFunc(doc.Changes, func(c v1alpha1.Change) bool {
			return c.Result == v1alpha1.ResultUnknown || c.Result == v1alpha1.ResultPlanned && r.DryRun == cli.DryRunNone
		})
		if failure == nil && r.DryRun == cli.DryRunNone {
			doc.NextSteps, doc.UndoSteps = r.nextSteps(), r.undo()
		}
	}
	doc.Action, doc.DryRun = string(r.Action), string(r.DryRun)
	doc.Clusters = append([]v1alpha1.FederationCluster{}, doc.Clusters...)
	doc.Phases = append([]v1alpha1.RotationPhase{}, doc.Phases...)
	doc.Changes = append([]v1alpha1.Change{}, doc.Changes...)
	return *doc, failure
}

// fill describes where the clusters are. Before the first write it lists the phases that are to come.
func (r *run) fill() {
	doc := &r.report
	doc.Document = clusters.Document(KindReport, r.members)
	doc.Clusters = nil
	for _, c := range r.m.scope {
		doc.Clusters = append(doc.Clusters, r.m.describe(c))
	}
	phase, err := r.next()
	if err != nil {
		return
	}
	if !r.wrote {
		doc.Phases = r.planned(phase)
	}
	if r.Wait > 0 && phase.Kind == Done && phase.Gate != (Gate{}) {
		doc.Waiting = r.m.missing(phase.Gate)
	}
	doc.Warnings = r.warnings()
}

func (m *mesh) describe(c *cluster) v1alpha1.FederationCluster {
	out := v1alpha1.FederationCluster{Cluster: c.Member.Name, Issuer: string(c.issuer)}
	if c.own.Cert != nil {
		out.CA = ptr.To(ca.Certificate(c.own.Cert))
	}
	for _, leaf := range c.LeafCertificates() {
		out.LeafCertificates++
		if none(m.authorities, func(a pki.CertKey) bool { return m.accepts(leaf.Chain, a.Cert) != nil }) {
			out.Crossed++
		}
		if none(m.authorities, func(a pki.CertKey) bool { return !pki.Trusts(leaf.Trust, a.Cert) }) {
			out.Trusting++
		}
	}
	chains, trust, err := m.missingIn(c)
	if err != nil {
		return out
	}
	for _, e := range append(chains, trust...) {
		if object := "secret/" + e.secret.Name; !slices.Contains(out.ToChange, object) {
			out.ToChange = append(out.ToChange, object)
		}
	}
	return out
}

// planned lists the phases that are to come.
func (r *run) planned(phase Phase) []v1alpha1.RotationPhase {
	if phase.Kind == Done {
		return nil
	}
	at, err := r.m.positions(r.ID)
	if err != nil {
		return nil
	}
	names := func(is func(Position) bool) []string {
		var out []string
		for _, p := range at {
			if is(p) {
				out = append(out, p.Cluster)
			}
		}
		return out
	}
	chains, trust := names(func(p Position) bool { return !p.Chains }), names(func(p Position) bool { return !p.Trust })
	restarts := names(func(p Position) bool { return !p.Trust || p.EtcdBehind })
	texts := map[PhaseKind][2]string{
		Chains:  {"cross certificates are sent with the leaf certificates; nothing is restarted", "cross certificates are removed"},
		Trust:   {"CA files contain the CAs of the others; nothing is restarted", "CA files contain only the own CA"},
		Restart: {"one cluster after the other, as soon as all nodes have the files and all are connected: clustermesh-apiserver restarts", "one cluster after the other: clustermesh-apiserver restarts"},
	}
	var out []v1alpha1.RotationPhase
	for _, p := range []Phase{{Kind: Chains, Clusters: chains}, {Kind: Trust, Clusters: trust}, {Kind: Restart, Clusters: restarts}} {
		if len(p.Clusters) > 0 && (p.Kind != Restart || r.m.recipe == Roots && r.Wait > 0) {
			out = append(out, v1alpha1.RotationPhase{Name: string(p.Kind), Description: r.m.text(texts[p.Kind]), Clusters: p.Clusters})
		}
	}
	return out
}

// warnings say what would undo the change, and what is not restarted.
func (r *run) warnings() []string {
	out, wrong := rotate.Clocks(r.scope)
	out = append(out, wrong...)
	for _, c := range r.m.scope {
		if note := c.UpgradeNote(); note != "" && (c.issuer == Helm || c.issuer == Mixed) {
			out = append(out, c.Member.Name+": "+note)
		}
		switch {
		case r.m.off || r.m.oneCA():
		case r.m.recipe == Files && (c.issuer == Helm || c.issuer == Mixed):
			out = append(out, fmt.Sprintf("%s: the next upgrade of release %s removes the cross certificates", c.Member.Name, cmp.Or(c.Release.Name, "cilium")))
		case r.m.recipe == Files && c.issuer == Certgen:
			out = append(out, c.Member.Name+": the next run of certgen removes the cross certificates")
		case r.m.recipe == Roots && c.issuer == Helm:
			out = append(out, fmt.Sprintf("%s: a helm rollback of release %s to a revision before the federation removes the CAs of the other clusters", c.Member.Name, cmp.Or(c.Release.Name, "cilium")))
		}
	}
	return out
}

// nextSteps are what a person does next.
func (r *run) nextSteps() []v1alpha1.NextStep {
	var out []v1alpha1.NextStep
	if r.m.oneCA() {
		return nil
	}
	if r.Wait == 0 && r.m.recipe == Roots && r.wrote {
		for _, c := range r.m.scope {
			out = append(out, v1alpha1.NextStep{Cluster: c.Member.Name, Reason: "etcd reads its CA file only at start. Wait until the nodes have the new files, then go from cluster to cluster", Command: c.RestartMeshAPI()})
		}
	}
	switch r.Action {
	case Off:
		if r.m.recipe != Roots && r.wrote {
			for _, c := range r.m.scope {
				out = append(out, v1alpha1.NextStep{Cluster: c.Member.Name, Reason: "open connections stay open until clustermesh-apiserver restarts. Go from cluster to cluster", Command: c.RestartMeshAPI()})
			}
		}
		return out
	case Repair:
		return append(out, r.afterRepair()...)
	}
	return append(append(out, r.connect()...), r.withoutCopies()...)
}

// withoutCopies lists the copies of certificates that are not needed any more. With the recipe Files they are: the Helm upgrade that removes them may drop the
// cross certificates too.
func (r *run) withoutCopies() []v1alpha1.NextStep {
	if r.m.recipe == Files || r.Wait == 0 || len(r.report.Waiting) > 0 {
		return nil
	}
	var out []v1alpha1.NextStep
	for _, c := range r.m.scope {
		for _, other := range r.m.scope {
			if objects := c.copies(other.Member.Name); len(objects) > 0 {
				out = append(out, v1alpha1.NextStep{Cluster: c.Member.Name, Objects: objects, Reason: fmt.Sprintf(
					"%s connects to %[2]s with copies of its certificates, which nothing renews. They are not needed any more: remove tls of %[2]s from clustermesh.config.clusters in the Helm values", c.Member.Name, other.Member.Name)})
			}
		}
	}
	return out
}

// afterRepair: the cross certificates end with the next leaf certificates, so that one CA must come back soon.
func (r *run) afterRepair() []v1alpha1.NextStep {
	var out []v1alpha1.NextStep
	for _, a := range r.m.authorities {
		var from string
		var to []string
		for _, c := range r.m.scope {
			switch {
			case !pki.SameAuthority(c.own.Cert, a.Cert):
				to = append(to, c.Member.Name)
			case from == "":
				from = c.Member.Name
			}
		}
		if from != "" && len(to) > 0 {
			out = append(out, v1alpha1.NextStep{Cluster: from, Reason: "gives all clusters the CA of " + from + "; then issue their leaf certificates again, as its steps say",
				Command: r.plugin("sync", "--from", from, "--to", strings.Join(to, ","))})
		}
	}
	if len(out) == 0 {
		out = append(out, v1alpha1.NextStep{Clusters: r.names(), Reason: "lists the leaf certificates that another CA signed, and the commands that issue them again", Command: r.plugin("status")})
	}
	return out
}

// connect lists the pairs that trust each other and are not connected.
//
// cilium clustermesh connect compares the first certificates of cilium-ca, and refuses if they differ. With --allow-mismatching-ca it connects, and writes
// both files into tls.caBundle, which restarts the pods (cilium CLI, run with charts 1.16 to 1.20).
func (r *run) connect() []v1alpha1.NextStep {
	var out []v1alpha1.NextStep
	for n, a := range r.m.scope {
		for _, b := range r.m.scope[n+1:] {
			_, there := a.Side.Peers[b.Member.Name]
			_, back := b.Side.Peers[a.Member.Name]
			if there && back {
				continue
			}
			out = append(out, v1alpha1.NextStep{
				Clusters: []string{a.Member.Name, b.Member.Name},
				Reason:   "connects them. Without the flag the cilium CLI refuses different CAs; with it, it also sets tls.caBundle, which restarts the pods. The value clustermesh.config.clusters connects them without that",
				Command:  "cilium clustermesh connect --context " + commandline.Quote(a.Member.Context) + " --destination-context " + commandline.Quote(b.Member.Context) + " --allow-mismatching-ca",
			})
		}
	}
	return out
}

// undo are the commands that restore the previous state.
func (r *run) undo() []v1alpha1.NextStep {
	if !r.wrote || r.Action == Repair { // nobody wants a broken mesh back
		return nil
	}
	var out []v1alpha1.NextStep
	if r.Action != Off {
		out = append(out, v1alpha1.NextStep{Clusters: r.names(), Reason: "removes the certificates of the other CAs", Command: r.plugin("federate", "--off")})
	}
	for _, c := range r.m.scope {
		if c.former.Key && !bytes.Equal(c.former.Secret.Data[c.authority.Layout.Cert], c.CA().Object.Data[c.authority.Layout.Cert]) {
			out = append(out, v1alpha1.NextStep{Cluster: c.Member.Name, Reason: "restores secret cilium-ca as it was kept; the key is the same", Command: r.plugin("restore", "--in", c.Member.Name, "--backup", c.former.Secret.Name)})
		}
	}
	if r.Action == Off {
		out = append(out, v1alpha1.NextStep{Clusters: r.names(), Reason: "makes the clusters trust each other again", Command: r.plugin("federate")})
	}
	return out
}

func (r *run) names() []string {
	out := make([]string, len(r.scope))
	for n, m := range r.scope {
		out[n] = m.Name
	}
	return out
}

// plugin is a command of mesh-ca for exactly these clusters.
func (r *run) plugin(words ...string) string {
	if words[0] == "federate" && len(r.In) > 0 {
		words = append(words, "--in", strings.Join(r.names(), ","))
	}
	return commandline.Plugin("kubectl mesh-ca", commandline.MeshOf(r.members), "", words...)
}

// command is the command itself, with every flag without which it would not go on.
func (r *run) command() string {
	words := []string{"federate"}
	switch {
	case r.Action == Repair:
		words = []string{"rotate", "repair"}
	case r.Action == Off:
		words = append(words, "--off")
		if r.AllowDisconnect {
			words = append(words, "--allow-disconnect")
		}
	case r.FilesOnly:
		words = append(words, "--files-only")
	}
	return r.plugin(append(words, r.RetryFlags...)...)
}
