package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// mismatch is the reason why the endpoints of some clusters do not serve a port for clients of others.
type mismatch struct {
	rule             finding.Rule
	frontend         routing.Frontend
	reason           string
	clients, remotes []string
}

func (m mismatch) message() string {
	who := strings.Join(m.remotes, ", ") + " is"
	if len(m.remotes) > 1 {
		who = "each of " + who
	}
	clients := strings.Join(m.clients, ", ")
	if m.frontend.Port.Port != 0 { // else a headless Service without ports
		clients += " on port " + portText(m.frontend)
	}
	return fmt.Sprintf("clients in %s: %s %s", clients, who, m.reason)
}

// checkPorts uses package routing to find out why endpoints are not used, so that prediction and finding cannot differ.
// If several versions are possible, a mismatch counts only if it applies to the first.
func (c *checker) checkPorts() {
	rules := map[routing.Code]finding.Rule{routing.ReasonPort: finding.PortName, routing.ReasonProtocol: finding.PortProtocol, routing.ReasonFamily: finding.IPFamily}
	matcher := routing.NewMatcher(&c.st.Snapshot, c.key)
	var all []mismatch
	for _, p := range c.global {
		var own []mismatch
		for _, fe := range p.svc.Frontends() {
			for _, r := range matcher.Mismatches(p.cluster, fe) {
				own = addMismatch(own, mismatch{rules[r.Code], fe, r.String(), []string{p.name()}, []string{r.Cluster}})
			}
		}
		for _, m := range own {
			all = addClients(all, m)
		}
	}
	for _, m := range all {
		c.add(m.rule, slices.Concat(m.clients, m.remotes), "", "%s", m.message())
	}
}

// addMismatch joins what one client cluster meets in several others.
func addMismatch(list []mismatch, m mismatch) []mismatch {
	for i := range list {
		if o := &list[i]; o.rule.ID == m.rule.ID && o.frontend == m.frontend && o.reason == m.reason {
			o.remotes = append(o.remotes, m.remotes...)
			return list
		}
	}
	return append(list, m)
}

// addClients joins the client clusters that meet the same.
func addClients(list []mismatch, m mismatch) []mismatch {
	for i := range list {
		if o := &list[i]; o.rule.ID == m.rule.ID && o.frontend == m.frontend && o.reason == m.reason && slices.Equal(o.remotes, m.remotes) {
			o.clients = append(o.clients, m.clients...)
			return list
		}
	}
	return append(list, m)
}

// checkTargetPorts finds ports with a common target port, if the version of the client cluster loses all but one of them.
func (c *checker) checkTargetPorts() {
	for _, p := range c.global {
		if !slices.ContainsFunc(p.rules, func(r cilium.RuleSet) bool { return r.LosesSharedTargetPorts }) || len(p.svc.Ports) < 2 || p.svc.Headless {
			continue
		}
		version := "Cilium " + p.cluster.Version.String()
		if len(p.rules) > 1 {
			version = "Cilium (version unknown), if it is 1.18.0 to 1.18.9 or 1.19.0 to 1.19.3,"
		}
		for _, o := range c.global {
			if shared := sharedTarget(o.svc); shared != "" && p.uses(o) {
				c.tellFix(finding.SharedTargetPort, p, "", "%s uses the endpoints of %s for only one port: %s", version, o.name(), shared)
			}
		}
	}
}

// sharedTarget names the ports of a Service that have one target port, "" if none have.
func sharedTarget(svc *routing.Service) string {
	for _, e := range svc.Endpoints {
		byTarget := map[routing.Port]string{}
		for _, p := range e.Ports {
			target := routing.Port{Protocol: p.Protocol, Port: p.Port}
			if other, taken := byTarget[target]; taken && other != p.Name {
				return fmt.Sprintf("its ports %s and %s share target port %d/%s", other, p.Name, p.Port, p.Protocol)
			}
			byTarget[target] = p.Name
		}
	}
	return ""
}
