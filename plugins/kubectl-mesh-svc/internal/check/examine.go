package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// Ignored are the ids of findings that are left out. What only they need is not read either.
type Ignored []string

// rest returns the ids of rules that are not left out.
func (ig Ignored) rest(rules ...finding.Rule) []string {
	var out []string
	for _, r := range rules {
		if !slices.Contains(ig, r.ID) {
			out = append(out, r.ID)
		}
	}
	return out
}

func nodeRules() []finding.Rule {
	return []finding.Rule{finding.PodCIDR, finding.PodPool, finding.NodeAddress, finding.NativeCIDR}
}

func policyRules() []finding.Rule { return []finding.Rule{finding.PolicyIngress, finding.PolicyEgress} }

// Around lists the resources that must be read in addition to the Services: nodes if there are two clusters to compare, and policies if
// they apply and Services are global.
func Around(st *meshstate.State, members []*clusters.Member, keys []routing.Key, namespace string, ignored Ignored) meshstate.AroundQuery {
	read := 0
	for _, m := range members {
		if m.Err == nil {
			read++
		}
	}
	nodes := read > 1 && len(ignored.rest(nodeRules()...)) > 0
	policies := len(ignored.rest(policyRules()...)) > 0
	return meshstate.AroundQuery{
		Namespace: namespace,
		Nodes:     func(*clusters.Member) bool { return nodes },
		Policies:  func(m *clusters.Member) bool { return policies && heedsPolicies(m) && anyGlobal(st.Find(m.Name), keys) },
	}
}

func anyGlobal(c *routing.Cluster, keys []routing.Key) bool {
	return c != nil && slices.ContainsFunc(keys, func(k routing.Key) bool {
		return c.Services[k] != nil && !c.Services[k].Proxied() && cilium.Global(c.Services[k].Annotations).Value
	})
}

// All does all checks, and lists those that could not be done. namespace is the only one that was read, "" for all.
func All(st *meshstate.State, members []*clusters.Member, keys []routing.Key, around *meshstate.Around, namespace string, ignored Ignored) v1alpha1.FindingList {
	doc := v1alpha1.FindingList{Document: clusters.Document("FindingList", members), Services: len(keys)}
	doc.Findings = slices.Concat(Clusters(members), Hosts(st, members, keys), Nodes(members, around),
		Services(st, members, keys), Namespaces(st, members), Policies(st, members, keys, around))
	doc.Findings = slices.DeleteFunc(doc.Findings, func(f v1alpha1.Finding) bool { return slices.Contains(ignored, f.ID) })
	finding.Sort(doc.Findings)
	doc.NotExamined = append(hiddenNamespaces(st, keys, namespace, ignored), unread(around, ignored)...)
	doc.Complete = doc.Complete && len(doc.NotExamined) == 0
	return doc
}

// hiddenNamespaces lists the clusters whose namespaces may not be read, and what is not examined there: the keys of the namespaces and, if Services are
// global, whether the namespaces keep them from being exported. namespace is the only one to read, "" for all.
func hiddenNamespaces(st *meshstate.State, keys []routing.Key, namespace string, ignored Ignored) []v1alpha1.NotExamined {
	verbs := "get, list"
	if namespace != "" {
		verbs = "get"
	}
	var out []v1alpha1.NotExamined
	for i := range st.Clusters {
		c := &st.Clusters[i]
		rules := []finding.Rule{finding.WrongKey}
		if cilium.RulesFor(c.Version)[0].NamespaceGate && anyGlobal(c, keys) {
			rules = []finding.Rule{finding.NamespaceGate, finding.WrongKey}
		}
		if ids := ignored.rest(rules...); c.Gap == "" && c.NamespacesHidden && len(ids) > 0 {
			out = append(out, notExamined(c.Name, verbs, "namespaces", namespace, ids, string(failure.Forbidden), ""))
		}
	}
	return out
}

func unread(around *meshstate.Around, ignored Ignored) []v1alpha1.NotExamined {
	var out []v1alpha1.NotExamined
	for _, u := range around.Unread {
		ids := ignored.rest(policyRules()...)
		if u.Resource == meshstate.ResourceNodes || u.Resource == meshstate.ResourceCiliumNodes {
			ids = ignored.rest(nodeRules()...)
		}
		out = append(out, notExamined(u.Cluster, "list", u.Resource, u.Namespace, ids, string(u.Err.Class), u.Err.Error()))
	}
	return out
}

// notExamined says what is missing, which rule grants it, and how to skip the check.
func notExamined(cluster, verb, resource, namespace string, ids []string, class, cause string) v1alpha1.NotExamined {
	name, group, _ := strings.Cut(resource, ".")
	what := fmt.Sprintf("%s could not be read: %s", resource, cause)
	switch failure.Class(class) {
	case failure.Forbidden:
		missing := permissions.MissingError{Permissions: []permissions.Permission{{Verb: verb, Group: group, Resource: name, Namespace: namespace}}}
		what = missing.Error()
	case failure.NotFound:
		what = "the API server does not have the resource " + resource
	}
	return v1alpha1.NotExamined{Cluster: cluster, Verb: verb, Resource: resource, Namespace: namespace, Findings: ids, Class: class,
		Message: fmt.Sprintf("%s; not examined: %s; to skip: --ignore %s", what, strings.Join(ids, ", "), strings.Join(ids, ","))}
}
