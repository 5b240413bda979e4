package live

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// rejectedWindow is how far back failed handshakes count. Processes that do not trust their own etcd dial it every 30 seconds (1.20.2, measured).
const rejectedWindow = 2 * time.Minute

// Report observes all clusters at once and adds what their processes do to the document, with the findings. A process whose trust is unknown makes it incomplete.
func Report(ctx context.Context, o Observer, states []*ca.State, now time.Time, doc *v1alpha1.CAReport) {
	members := make([]*clusters.Member, 0, len(states))
	for _, s := range states {
		members = append(members, s.Member)
	}
	seen := map[string]Observation{}
	// Each request has its own deadline.
	for _, r := range fanout.Each(ctx, members, 0, func(ctx context.Context, m *clusters.Member) (Observation, error) {
		return Observe(ctx, o, m, m.Earliest(now).Add(-rejectedWindow)), nil
	}) {
		if r.Err != nil {
			r.Value.Unobserved = append(r.Value.Unobserved, r.Err.Error())
		}
		seen[r.Member.Name] = r.Value
	}
	live := Judge(states, seen, now)
	doc.Live = &live
	for i, c := range live.Clusters {
		doc.Findings = append(doc.Findings, findings(states[slices.IndexFunc(states, func(s *ca.State) bool { return s.Member.Name == c.Cluster })], live.Clusters[i])...)
		if len(c.Unobserved) > 0 || slices.ContainsFunc(c.EtcdReplicas, etcdUnknown) || slices.ContainsFunc(c.Clients, clientUnknown) {
			doc.Complete = false
		}
	}
	finding.Sort(doc.Findings)
}

func etcdUnknown(e v1alpha1.LiveEtcd) bool {
	return e.Trust == string(pki.UnknownFreshness) || e.Message != ""
}
func clientUnknown(c v1alpha1.LiveClient) bool { return c.Trust == string(pki.UnknownFreshness) }

// Observe asks everything about one cluster, all at once.
func Observe(ctx context.Context, o Observer, m *clusters.Member, since time.Time) Observation {
	out := Observation{Since: since}
	errs := make([]error, 4)
	var g sync.WaitGroup
	g.Go(func() { out.Served, errs[0] = o.Served(ctx, m) })
	g.Go(func() { out.Files, errs[1] = o.Files(ctx, m) })
	g.Go(func() { out.Clients, errs[2] = o.Clients(ctx, m) })
	g.Go(func() { out.Rejected, errs[3] = o.Rejected(ctx, m, since) })
	g.Wait()
	for i, what := range []string{"what etcd serves", "the files of the agents", "the clients of etcd", "the log of etcd"} {
		if errs[i] != nil {
			out.Unobserved = append(out.Unobserved, fmt.Sprintf("%s: %v", what, failure.Explain(errs[i])))
		}
	}
	if errs[3] != nil {
		out.Since = time.Time{}
	}
	return out
}

// findings returns the findings about the running processes of one cluster.
func findings(s *ca.State, c v1alpha1.LiveCluster) []v1alpha1.Finding {
	at := []string{c.Cluster}
	var out []v1alpha1.Finding
	for _, message := range c.Unobserved {
		out = append(out, finding.LiveUnknown.New("pods", at, message, ""))
	}
	for _, e := range c.EtcdReplicas {
		object := "pod/" + e.Pod
		if e.Message != "" { // its start may tell whether it is stale
			out = append(out, finding.LiveUnknown.New(object, at, "etcd: "+e.Message, ""))
		}
		switch {
		case e.Trust == string(pki.Stale):
			out = append(out, finding.LiveStale.New(object, at, "etcd: "+e.Reason, s.RestartMeshAPI()))
		case e.Trust == string(pki.UnknownFreshness) && e.Message == "":
			out = append(out, finding.LiveUnknown.New(object, at, "etcd: "+e.Reason, ""))
		}
		out = append(out, acceptance(c.Cluster, e)...)
	}
	out = append(out, clientFindings(c)...)
	for _, r := range c.Rejections {
		who := "etcd rejected the certificate of a client"
		if r.Reason == string(pki.ClientRefused) {
			who = "a client rejected the certificate of etcd"
		}
		out = append(out, finding.LiveRejected.New("pod/"+r.Pod, at, fmt.Sprintf("%s at %s (handshakes: %d, last at %s): %s", who, r.Remote, r.Count, stamp(r.LastTime), r.Text), ""))
	}
	return out
}

// acceptance returns one finding for all clusters that do not accept what a replica serves, and one for those of which this is unknown. The reason is that of the first.
func acceptance(cluster string, e v1alpha1.LiveEtcd) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, kind := range []struct {
		verdict pki.Verdict
		rule    finding.Rule
		text    string
	}{
		{pki.Broken, finding.LiveServed, "clients in %s do not accept what etcd serves: %s"},
		{pki.Unknown, finding.LiveUnknown, "cannot determine whether clients in %s accept what etcd serves: %s"},
	} {
		var others []string
		reason := ""
		for _, a := range e.ClientVerdicts {
			if a.Verdict == string(kind.verdict) {
				others, reason = append(others, a.Client), cmp.Or(reason, a.Reason)
			}
		}
		if len(others) > 0 {
			out = append(out, kind.rule.New("pod/"+e.Pod, append([]string{cluster}, others...), fmt.Sprintf(kind.text, strings.Join(others, ", "), reason), ""))
		}
	}
	return out
}

// clientFindings returns one finding for all connections of one kind of process with one verdict: in a large mesh a process has hundreds. The pod and the reason
// are those of the first.
func clientFindings(c v1alpha1.LiveCluster) []v1alpha1.Finding {
	type key struct{ kind, trust string }
	var order []key
	groups, total := map[key][]v1alpha1.LiveClient{}, map[string]int{}
	for _, client := range c.Clients {
		k := key{client.Kind, client.Trust}
		total[client.Kind]++
		if client.Trust == string(pki.Fresh) {
			continue
		}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], client)
	}
	var out []v1alpha1.Finding
	for _, k := range order {
		rule := finding.LiveUnknown
		if k.trust == string(pki.Stale) {
			rule = finding.LiveStale
		}
		first, who := groups[k][0], k.kind
		if first.Peer != "" {
			who += ", connection to " + first.Peer
		}
		if n := len(groups[k]); n > 1 {
			who += fmt.Sprintf(", and %d more of %d connections", n-1, total[k.kind])
		}
		out = append(out, rule.New("pod/"+first.Pod, []string{c.Cluster}, who+": "+first.Reason, ""))
	}
	return out
}
