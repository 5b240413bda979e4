package rotate

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// KindReport is the kind of the document.
const KindReport = "RotationReport"

// Report is what a command came to.
type Report struct {
	v1alpha1.RotationReport

	reason string // why the method was chosen
}

// add records what became of the writes of a phase.
func (r *Report) add(p *change.Plan) {
	for _, ph := range p.Phases {
		for _, each := range ph.Steps {
			s, ok := each.(*ca.Write)
			if !ok {
				continue
			}
			r.Changes = append(r.Changes, s.Change())
			if s.Incomplete() {
				r.Complete = false
			}
		}
	}
}

// end fills the report, whatever happened.
func (r *run) end(failure error) (Report, error) {
	if r.m == nil {
		r.report.Document = clusters.Document(KindReport, r.members)
		r.report.Complete = false
	} else {
		r.fill()
		if r.Action == Plan {
			r.report.Phases = r.phases()
		}
	}
	if failure != nil || len(r.ignored) > 0 {
		r.report.Complete = false
	}
	r.report.Action, r.report.DryRun = string(r.Action), string(r.DryRun)
	for _, list := range []*[]v1alpha1.RotationPhase{&r.report.Phases} {
		*list = append([]v1alpha1.RotationPhase{}, *list...)
	}
	r.report.Changes = append([]v1alpha1.Change{}, r.report.Changes...)
	r.report.Clusters = append([]v1alpha1.RotationCluster{}, r.report.Clusters...)
	return r.report, failure
}

// fill describes where the mesh is.
func (r *run) fill() {
	doc := &r.report.RotationReport
	doc.Document = clusters.Document(KindReport, r.members)
	doc.Action, doc.UnderWay, doc.Method, doc.MethodReason = string(r.Action), r.m.started, string(r.m.method), r.report.reason
	doc.OldCA, doc.NewCA, doc.Clusters = nil, nil, nil
	// Without a rotation, not even a planned one, clusters with different CAs have none that is the previous one.
	none := r.Action == Status && !r.m.started && slices.ContainsFunc(r.m.clusters, r.m.apart)
	if r.m.old.Cert != nil && !none {
		doc.OldCA = ptr.To(ca.Certificate(r.m.old.Cert))
	}
	if r.m.new.Cert != nil && r.Action != Plan { // start makes another one
		doc.NewCA = ptr.To(ca.Certificate(r.m.new.Cert))
	}
	doc.Since, doc.By = r.m.lockedSince()
	if r.m.new.Cert != nil {
		for n, p := range r.m.positions(r.goal) {
			c := r.m.clusters[n]
			doc.Clusters = append(doc.Clusters, v1alpha1.RotationCluster{
				Cluster: p.Cluster, Owner: c.owner().String(), LeafCertificateState: kindText(p.Leaves), Trust: kindText(p.Trusts),
				Behind: append(slices.Clone(c.running.EtcdBehind), c.running.ClientsBehind...), Disconnected: r.m.lost(c),
			})
		}
	}
	phase := r.next()
	doc.Phase = string(phase.Kind)
	if r.m.started && phase.Kind != Done {
		doc.Waiting = r.m.missing(phase.Gate, phase, r.Quiet)
	}
	doc.Warnings, doc.Ignored = r.warnings(), slices.Clone(r.ignored)
	doc.NextSteps = r.nextSteps(phase)
}

func kindText(kinds map[string]pki.Accepts) string {
	first := ""
	for _, k := range kinds {
		if first != "" && first != k.String() {
			return "mixed"
		}
		first = k.String()
	}
	return cmp.Or(first, "none")
}

// nextSteps are the commands that go on from here, or back.
func (r *run) nextSteps(phase Phase) []v1alpha1.NextStep {
	step := func(a Action, why string) v1alpha1.NextStep {
		return v1alpha1.NextStep{Cluster: strings.Join(r.names(), ","), Reason: why, Command: r.command(a)}
	}
	switch {
	case !r.m.started && r.Action == Plan && r.m.new.Cert != nil:
		return []v1alpha1.NextStep{step(Start, "begins; the new CA that it makes is another one than that of this plan")}
	case !r.m.started && phase.Kind == CleanUp:
		return []v1alpha1.NextStep{step(Finish, "removes what an interrupted clean-up has left")}
	case !r.m.started:
		return nil
	}
	if r.m.method == Emergency {
		return []v1alpha1.NextStep{step(Continue, "goes on")}
	}
	out := []v1alpha1.NextStep{step(Continue, "goes on")}
	if phase.Stage == Narrow {
		out[0] = step(Finish, "ends the rotation: the previous CA is not accepted any more afterwards")
	}
	return append(out, step(Abort, "restores the previous CA everywhere"))
}

// warnings name the owners that cannot be suspended from here, each once for all clusters that it concerns.
func (r *run) warnings() []string {
	if !r.m.started && r.Action != Plan && r.Action != Start {
		return slices.Clone(r.rewritten) // the rotation has ended, and only this report still shows them
	}
	var order []string
	where := map[string][]string{}
	warn := func(c *cluster, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if where[text] == nil {
			order = append(order, text)
		}
		where[text] = append(where[text], c.Member.Name)
	}
	for _, c := range r.m.clusters {
		owner := c.owner()
		byHelm, helm := c.issuedBy(pki.OwnerHelm)
		release := cmp.Or(byHelm.Name, c.Release.Name)
		switch {
		case owner.Reconciles():
			warn(c, "suspend %s until the rotation has ended: it would write its own certificates again", owner)
		case helm && r.m.method == Cross: // also beside certgen, which may issue only those of Cluster Mesh
			warn(c, "do not upgrade or roll back release %s until the rotation has ended: Helm would write certificates that some clusters do not accept", release)
		case helm && !c.Values.Known:
			warn(c, "cannot read the values of release %s: if they set tls.ca.cert and tls.ca.key, do not upgrade it until the rotation has ended. helm rollback would restore the previous CA", release)
		case helm:
			warn(c, "helm rollback of release %s would restore the previous CA; upgrades are harmless", release)
		}
		if note := c.UpgradeNote(); note != "" && helm {
			warn(c, "%s", note)
		}
		if r.m.method == Cross && r.m.old.Cert != nil && c.certgen() {
			r.warnCertgen(c, func(text string) { warn(c, "%s", text) })
		}
		if c.Values.SetsCA {
			warn(c, "the values of release %s set tls.ca.cert and tls.ca.key: remove them, or the next upgrade writes the previous CA again", c.Release.Name)
		}
	}
	out, wrong := Clocks(r.members)
	out = append(out, wrong...)
	if r.m.method == Emergency {
		out = append(out, "Until clustermesh-apiserver and all clients of every cluster have loaded the new CA, clusters do not accept each other: changed endpoints are not seen in other clusters. "+
			"Traffic continues with the last state, but an agent that restarts meanwhile loses the other clusters' backends after a minute.")
	}
	if r.m.method != Emergency && r.m.old.Cert != nil {
		out = append(out, "End the rotation before "+r.m.old.Cert.NotAfter.UTC().Format(time.RFC3339)+", when the previous CA expires.")
	}
	out = append(out, r.foreignTexts()...)
	for _, text := range order {
		out = append(out, strings.Join(where[text], ", ")+": "+text)
	}
	return out
}

// warnCertgen: certgen's CronJobs are suspended, but a Helm upgrade starts its Job too.
func (r *run) warnCertgen(c *cluster, warn func(text string)) {
	release := cmp.Or(c.Release.Name, "cilium")
	if len(c.CronJobs) == 0 {
		warn(fmt.Sprintf("no CronJob tells the version of certgen: do not upgrade release %s until the rotation has ended, unless certgen is v0.3.1 or later", release))
	}
	for _, config := range c.Certgen {
		if from, refuses := config.Refuses([]*x509.Certificate{r.m.old.Cert}); refuses && !r.m.at.Before(from) {
			warn(fmt.Sprintf("certgen does not sign while secret %s contains the previous CA, which ends before new leaf certificates would. An upgrade of release %s fails until the rotation has ended; certificates stay as they are", pki.SecretCA, release))
			return
		}
	}
}

// phases lists what is still to come, as far as it can be known.
func (r *run) phases() []v1alpha1.RotationPhase {
	names := r.names()
	if r.goal.Back {
		return []v1alpha1.RotationPhase{
			{Name: string(Issue), Description: "leaf certificates become such as the previous CA verifies, after every process trusts it", Command: string(Abort), Clusters: names},
			{Name: string(CleanUp), Description: "the new CA is removed, and certgen's CronJobs are resumed", Command: string(Abort), Clusters: names},
		}
	}
	wait := "after every process presents what the others accept, one cluster after the other: "
	out := []v1alpha1.RotationPhase{{Name: string(Prepare), Description: "both CAs are kept in every cluster, with a lock; certgen's CronJobs are suspended", Command: string(Start), Clusters: names}}
	if r.m.method == Emergency {
		return append(out,
			v1alpha1.RotationPhase{Name: string(Replace), Description: "leaf certificates and CA files of the new CA, in all clusters at once: clusters do not accept each other from here on", Command: string(Start), Clusters: names},
			v1alpha1.RotationPhase{Name: string(Restart), Description: "clustermesh-apiserver restarts in every cluster", Command: string(Start), Clusters: names},
			v1alpha1.RotationPhase{Name: string(Refresh), Description: "clients connect again: clusters accept each other from here on", Command: string(Start), Clusters: names},
			v1alpha1.RotationPhase{Name: string(CleanUp), Description: "the kept new CA and the lock are removed, certgen's CronJobs are resumed", Command: string(Start), Clusters: names})
	}
	if r.m.method == Bundle {
		return append(out,
			v1alpha1.RotationPhase{Name: string(Trust), Description: "one cluster after the other: CA files contain both CAs, and clustermesh-apiserver restarts", Command: string(Start), Clusters: names},
			v1alpha1.RotationPhase{Name: string(Issue), Description: "after every process trusts both: leaf certificates of the new CA, without a restart", Command: string(Continue), Clusters: names},
			v1alpha1.RotationPhase{Name: string(Trust), Description: wait + "CA files contain only the new CA, and clustermesh-apiserver restarts", Command: string(Finish), Clusters: names},
			v1alpha1.RotationPhase{Name: string(CleanUp), Description: "the kept new CA and the lock are removed, certgen's CronJobs are resumed", Command: string(Finish), Clusters: names})
	}
	return append(out,
		v1alpha1.RotationPhase{Name: string(Issue), Description: "leaf certificates of the new CA, sent with its cross certificate, so that the previous CA verifies them too; without a restart", Command: string(Start), Clusters: names},
		v1alpha1.RotationPhase{Name: string(Trust), Description: wait + "CA files contain only the new CA, and clustermesh-apiserver restarts", Command: string(Continue), Clusters: names},
		v1alpha1.RotationPhase{Name: string(Refresh), Description: "clients that have not read the new CA connect again, without a restart", Command: string(Continue), Clusters: names},
		v1alpha1.RotationPhase{Name: string(Issue), Description: "after every process trusts the new CA: the cross certificates are removed, without a restart", Command: string(Finish), Clusters: names},
		v1alpha1.RotationPhase{Name: string(CleanUp), Description: "the kept new CA and the lock are removed, certgen's CronJobs are resumed", Command: string(Finish), Clusters: names})
}

// describe is a phase that was done.
func describe(p Phase) v1alpha1.RotationPhase {
	return v1alpha1.RotationPhase{Name: string(p.Kind), Description: sentence(p), Clusters: p.Clusters}
}

// sentence says what a phase does.
func sentence(p Phase) string {
	where := strings.Join(p.Clusters, ", ")
	switch p.Kind {
	case Prepare:
		return "Keeping both CAs in " + where + "."
	case Issue:
		return fmt.Sprintf("Writing leaf certificates, %s, in %s.", leafText(p.Leaf), where)
	case Trust:
		return fmt.Sprintf("Writing CA files with %s in %s.", trustText(p.Trust), where)
	case Replace:
		return "Writing leaf certificates and CA files of the new CA in " + where + "."
	case Restart:
		return "Replacing the pods of clustermesh-apiserver in " + where + "."
	case Refresh:
		return "Making clients connect again in " + where + "."
	}
	return "Removing what only the rotation needed in " + where + "."
}

func (r *run) names() []string {
	out := make([]string, len(r.members))
	for n, m := range r.members {
		out[n] = m.Name
	}
	return out
}

// command is a command of the rotation for exactly these clusters, with every flag of this one without which it would not go on.
func (r *run) command(a Action) string {
	words := slices.Concat([]string{"rotate", string(a)}, r.Ignore.words(), r.RetryFlags)
	if a == Start {
		words = append(words, r.StartFlags...)
	}
	return commandline.Plugin("kubectl mesh-ca", commandline.MeshOf(r.members), "", words...)
}

// goOn is the action that goes on from here.
func (r *run) goOn() Action {
	if r.Action == Start {
		return Continue
	}
	return r.Action
}

// lockedSince is when the rotation began, and who began it, by the first lock.
func (m *mesh) lockedSince() (*time.Time, string) {
	for _, c := range m.clusters {
		if c.lock == nil {
			continue
		}
		at, err := time.Parse(time.RFC3339, c.lock.Data["since"])
		if err != nil {
			return nil, c.lock.Data["by"]
		}
		return &at, c.lock.Data["by"]
	}
	return nil, ""
}

func (m *mesh) lockText() string {
	since, by := m.lockedSince()
	if since == nil {
		return "secret " + SecretNew + " exists"
	}
	return fmt.Sprintf("since %s, begun by %s", since.UTC().Format(time.RFC3339), cmp.Or(by, "an unknown user"))
}
