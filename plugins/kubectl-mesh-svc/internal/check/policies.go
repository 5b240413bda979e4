package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/policy"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// heedsPolicies reports whether, in the policies of a member, a peer without a cluster label may mean only its own cluster.
func heedsPolicies(m *clusters.Member) bool {
	local, _ := cilium.PolicyDefaultLocal(m.Config, m.Version)
	return local && m.Config.PolicyEnforcement != "never"
}

// Policies finds global Services for which policies block traffic between clusters.
func Policies(st *meshstate.State, members []*clusters.Member, keys []routing.Key, around *meshstate.Around) []v1alpha1.Finding {
	byNamespace := map[string]map[string][]policy.Policy{}
	for cluster, ps := range around.Policies {
		byNamespace[cluster] = byScope(ps)
	}
	if len(byNamespace) == 0 {
		return nil
	}
	cmds := newCommands(members)
	var out []v1alpha1.Finding
	for _, key := range keys {
		c := newChecker(st, key, cmds)
		for _, p := range c.global {
			policies, read := byNamespace[p.name()]
			if !read || p.external() {
				continue
			}
			c.checkIngress(p, policies[key.Namespace])
			c.checkEgress(p, policies)
		}
		out = append(out, c.out...)
	}
	finding.Sort(out)
	return out
}

// byScope lists, for each namespace with policies, the policies that apply there, and under "" only the clusterwide ones.
func byScope(ps []policy.Policy) map[string][]policy.Policy {
	out := map[string][]policy.Policy{"": nil}
	for _, p := range ps {
		out[p.Namespace] = append(out[p.Namespace], p)
	}
	for ns := range out {
		if ns != "" {
			out[ns] = append(out[ns], out[""]...)
		}
	}
	return out
}

// behind returns the pods that the selector of a Service matches.
func behind(p place) policy.Pods {
	return policy.Pods{Cluster: p.name(), Namespace: p.svc.Namespace, Labels: p.svc.PodLabels}
}

// targets lists the target ports of a Service's endpoints, each once.
func targets(svc *routing.Service) []policy.Target {
	var out []policy.Target
	for _, e := range svc.Endpoints {
		for _, p := range e.Ports {
			if t := (policy.Target{Port: p.Port, Protocol: p.Protocol}); !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	return out
}

// checkIngress finds clusters whose clients are blocked by the policies of the endpoints of p.
func (c *checker) checkIngress(p place, policies []policy.Policy) {
	if len(policies) == 0 || !p.svc.Selector || len(p.svc.Endpoints) == 0 {
		return
	}
	var out, may, denied []string
	var certain, possible, denying []policy.Policy
	ports := targets(p.svc)
	for _, client := range c.global {
		if !client.uses(p) || client.external() {
			continue
		}
		r := policy.Ingress(policies, behind(p), ports, client.name())
		switch keeps := r.KeepsOut(); {
		case keeps == policy.Yes:
			out, certain = append(out, client.name()), r.Enforced
		case keeps == policy.Maybe && r.Other != policy.No:
			denied, denying = append(denied, client.name()), r.Denying
		case keeps == policy.Maybe:
			may, possible = append(may, client.name()), r.Possible
		}
	}
	if len(out) > 0 {
		c.policyFinding(finding.PolicyIngress, p, out, certain, "%s: clients in %s are allowed, clients in %s are not", names(certain), p.name(), strings.Join(out, ", "))
	}
	rule := finding.PolicyIngress
	rule.Severity = finding.Info
	if len(denied) > 0 {
		c.policyFinding(rule, p, denied, denying, "%s: its deny or requires rules may keep out clients in %s, but not clients in %s", names(denying), strings.Join(denied, ", "), p.name())
	}
	if len(may) > 0 {
		c.policyFinding(rule, p, may, possible, "%s: if it selects the pods, clients in %s are allowed, clients in %s are not", names(possible), p.name(), strings.Join(may, ", "))
	}
}

// checkEgress finds policies that let clients in p's cluster reach its endpoints, but not the endpoints of other clusters.
func (c *checker) checkEgress(p place, policies map[string][]policy.Policy) {
	for _, ns := range slices.Sorted(maps.Keys(policies)) {
		var kept, denied []string
		var by, denying []policy.Policy
		for _, o := range c.global {
			if !p.uses(o) || o.external() || !o.svc.Selector || !p.svc.Selector {
				continue
			}
			switch r := policy.Egress(policies[ns], behind(p), behind(o), targets(o.svc)); r.KeepsOut() {
			case policy.Yes:
				kept, by = append(kept, o.name()), r.Enforced
			case policy.Maybe:
				denied, denying = append(denied, o.name()), r.Denying
			}
		}
		where := "namespace " + ns
		if ns == "" {
			where = "all namespaces"
		}
		// The effect of clusterwide policies alone is reported once, not for each namespace.
		here := func(by []policy.Policy) bool {
			return len(by) > 0 && (ns == "" || slices.ContainsFunc(by, func(p policy.Policy) bool { return p.Namespace == ns }))
		}
		if here(denying) {
			rule := finding.PolicyEgress
			rule.Severity = finding.Info
			c.policyFinding(rule, p, denied, denying, "%s: its deny or requires rules may keep clients in %s from the endpoints in %s, but not from those in %s", names(denying), where, strings.Join(denied, ", "), p.name())
		}
		if !here(by) {
			continue
		}
		c.policyFinding(finding.PolicyEgress, p, kept, by, "%s: clients in %s reach the endpoints in %s, but not those in %s", names(by), where, p.name(), strings.Join(kept, ", "))
	}
}

// policyFinding adds a finding with the condition on an unknown version, and with the command that edits the first policy.
func (c *checker) policyFinding(r finding.Rule, p place, others []string, by []policy.Policy, format string, args ...any) {
	text := p.name() + ": " + fmt.Sprintf(format, args...)
	if m := c.members[p.name()]; m != nil {
		if _, certain := cilium.PolicyDefaultLocal(m.Config, m.Version); !certain {
			r.Severity = finding.Info
			text += ", if Cilium (version unknown) is 1.19 or later"
		}
	}
	first := by[0]
	if fix := durable(first.Owners.Keeper(owners.Field{"spec"}, owners.Field{"specs"}), "change "+first.String()); fix != "" {
		c.add(r, append([]string{p.name()}, others...), fix, "%s", text)
		return
	}
	c.add(r, append([]string{p.name()}, others...), c.kubectl(p.cluster, first.Namespace, "edit", first.String()), "%s", text)
}

// names lists policies for a message.
func names(ps []policy.Policy) string {
	out := make([]string, 0, len(ps))
	for _, p := range ps[:min(len(ps), shownServices)] {
		out = append(out, p.String())
	}
	if more := len(ps) - shownServices; more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	return strings.Join(out, ", ")
}
