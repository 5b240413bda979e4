package report

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/check"
)

// Tracker remembers the last shown state of each Service and returns the changes since. It is pure.
type Tracker struct {
	all   bool // Services that are global nowhere too
	shown map[routing.Key]shown
}

// shown is what a row showed.
type shown struct {
	clusters []v1alpha1.ServiceCluster
	findings string
}

// NewTracker returns a tracker that has shown nothing; all is that of List.
func NewTracker(all bool) *Tracker {
	return &Tracker{all: all, shown: map[routing.Key]shown{}}
}

// Changed summarizes the Services in keys whose summary differs from the last shown one, with the changes, and records them as
// shown. A Service that is no longer listed is summarized once more. st must hold these Services; others are ignored.
func (t *Tracker) Changed(st *meshstate.State, members []*clusters.Member, keys []routing.Key) v1alpha1.ServiceList {
	doc := v1alpha1.ServiceList{Document: clusters.Document("ServiceList", members), Services: []v1alpha1.ServiceSummary{}}
	found := map[string][]v1alpha1.Finding{}
	for _, f := range check.Services(st, members, keys) {
		found[f.Object] = append(found[f.Object], f)
	}
	told := map[string]bool{} // namespaces whose findings are in the document
	for _, key := range keys {
		s := v1alpha1.ServiceSummary{Namespace: key.Namespace, Name: key.Name, Clusters: perCluster(st, key)}
		mine := found["service/"+key.String()]
		ofNamespace := slices.DeleteFunc(slices.Clone(found["namespace/"+key.Namespace]), func(f v1alpha1.Finding) bool { return !AffectedBy(s, f) })
		before, known := t.shown[key]
		listed := (t.all || globalAnywhere(s)) && slices.ContainsFunc(s.Clusters, func(c v1alpha1.ServiceCluster) bool { return c.Present })
		if !listed && !known {
			continue
		}
		now := shown{s.Clusters, ids(slices.Concat(mine, ofNamespace))}
		if known {
			if s.Changes = changes(before, now); len(s.Changes) == 0 {
				continue
			}
		}
		t.shown[key] = now
		// Where a cluster is not read, what is global there alone only seems to be gone.
		if !listed && len(st.Errors) == 0 {
			delete(t.shown, key)
		}
		doc.Services = append(doc.Services, s)
		doc.Findings = append(doc.Findings, mine...)
		if len(ofNamespace) > 0 && !told[key.Namespace] { // several Services have it
			told[key.Namespace] = true
			doc.Findings = append(doc.Findings, ofNamespace...)
		}
	}
	finding.Sort(doc.Findings)
	return doc
}

// Keys lists the Services that were shown, so that they are looked at again when a cluster comes or goes.
func (t *Tracker) Keys() []routing.Key {
	keys := make([]routing.Key, 0, len(t.shown))
	for k := range t.shown {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b routing.Key) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// ids are the ids of findings as a list shows them, in its order.
func ids(fs []v1alpha1.Finding) string {
	finding.Sort(fs)
	var out []string
	for _, f := range fs {
		if f.Severity != "info" && !slices.Contains(out, f.ID) {
			out = append(out, f.ID)
		}
	}
	return strings.Join(out, ",")
}

// changes compares two summaries of a Service, cluster by cluster.
func changes(before, now shown) []v1alpha1.ServiceChange {
	was := map[string]v1alpha1.ServiceCluster{}
	for _, c := range before.clusters {
		was[c.Cluster] = c
	}
	var out []v1alpha1.ServiceChange
	for _, c := range now.clusters {
		old, read := was[c.Cluster]
		delete(was, c.Cluster)
		add := func(field, from, to string) {
			if from != to {
				out = append(out, v1alpha1.ServiceChange{Cluster: c.Cluster, Field: field, From: from, To: to})
			}
		}
		if !read {
			add("read", "false", "true")
			continue
		}
		add("present", strconv.FormatBool(old.Present), strconv.FormatBool(c.Present))
		if !old.Present || !c.Present {
			continue
		}
		add("global", old.Global.Value, c.Global.Value)
		add("shared", old.Shared.Value, c.Shared.Value)
		add("drained", strconv.FormatBool(old.Drained), strconv.FormatBool(c.Drained))
		add("proxied", strconv.FormatBool(old.Proxied), strconv.FormatBool(c.Proxied))
		add("affinity", old.Affinity.Value, c.Affinity.Value)
		add("type", old.Type, c.Type)
		add("readyEndpoints", strconv.Itoa(*old.ReadyEndpoints), strconv.Itoa(*c.ReadyEndpoints))
	}
	for _, c := range before.clusters {
		if _, lost := was[c.Cluster]; lost {
			out = append(out, v1alpha1.ServiceChange{Cluster: c.Cluster, Field: "read", From: "true", To: "false"})
		}
	}
	// Findings follow from the rest; alone they are a change too, such as that of a port's name.
	if len(out) == 0 && before.findings != now.findings {
		out = append(out, v1alpha1.ServiceChange{Field: "findings", From: before.findings, To: now.findings})
	}
	return out
}
