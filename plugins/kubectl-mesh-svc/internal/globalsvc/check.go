package globalsvc

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// Check looks for what is wrong with Services over all members that were read. Services that are global nowhere and
// were never meant to be have no findings, and neither have those that Cilium derives itself.
func Check(st *meshstate.State, members []*clusters.Member, keys []routing.Key) []v1alpha1.Finding {
	kpr := map[string]bool{}
	for _, m := range members {
		kpr[m.Name] = m.Config.KubeProxyReplacement
	}
	var out []v1alpha1.Finding
	for _, key := range keys {
		if strings.HasPrefix(key.Name, cilium.DerivedServicePrefix) {
			continue
		}
		c := newChecker(st, key, kpr)
		out = append(out, c.run()...)
	}
	finding.Sort(out)
	return out
}

// place is one Service in one cluster.
type place struct {
	cluster *routing.Cluster
	svc     *routing.Service
	rules   []cilium.RuleSet
	global  cilium.Bool
}

// checker looks at one Service over all clusters.
type checker struct {
	st      *meshstate.State
	key     routing.Key
	kpr     map[string]bool
	present []place
	global  []place  // the present ones that are global
	missing []string // clusters that were read and have no such Service
	out     []v1alpha1.Finding
}

func newChecker(st *meshstate.State, key routing.Key, kpr map[string]bool) *checker {
	c := &checker{st: st, key: key, kpr: kpr}
	for i := range st.Clusters {
		cl := &st.Clusters[i]
		svc := cl.Services[key]
		switch {
		case cl.Gap != "":
		case svc == nil:
			c.missing = append(c.missing, cl.Name)
		default:
			p := place{cl, svc, cilium.RulesFor(cl.Version), cilium.Global(svc.Annotations)}
			c.present = append(c.present, p)
			if p.global.Value {
				c.global = append(c.global, p)
			}
		}
	}
	return c
}

// run looks for everything.
func (c *checker) run() []v1alpha1.Finding {
	for _, p := range c.present {
		c.checkAnnotations(p)
	}
	if len(c.global) == 0 {
		return c.out
	}
	c.checkReach()
	for _, p := range c.global {
		c.checkAffinity(p)
		c.checkService(p)
	}
	c.checkAffinityPair()
	c.checkHeadless()
	c.checkPorts()
	return c.out
}

// add notes a finding. fix is a command without its "kubectl".
func (c *checker) add(r finding.Rule, clusterNames []string, fix, format string, args ...any) {
	if fix != "" {
		fix = "kubectl " + fix
	}
	c.out = append(c.out, r.New("service/"+c.key.String(), clusterNames, fmt.Sprintf(format, args...), fix))
}

// svcFix is a mesh-svc command on this Service in some clusters.
func (c *checker) svcFix(verb string, in ...string) string {
	s := fmt.Sprintf("mesh-svc %s %s -n %s", verb, c.key.Name, c.key.Namespace)
	if len(in) > 0 {
		s += " --in " + clusters.Quote(strings.Join(in, ","))
	}
	return s
}

func (c *checker) checkAnnotations(p place) {
	name := p.cluster.Name
	if p.global.Junk() {
		c.add(finding.GlobalJunk, []string{name}, c.svcFix("globalize", name), "%s: %s is %q, which is not true: the Service is local in %s", name, p.global.Key, p.global.Raw, name)
	}
	if left, edits := aliases(p); len(left) > 0 {
		c.add(finding.AliasLeft, []string{name}, c.apiFix(p, "annotate service", edits...), "%s: %s", name, strings.Join(left, ", "))
	}
	if !p.global.Value {
		return
	}
	switch s := cilium.Shared(p.svc.Annotations); {
	case s.Value:
	case s.Junk():
		c.add(finding.SharedJunk, []string{name}, c.svcFix("share", name), "%s: %s is %q, which is not true: other clusters do not use the endpoints in %s", name, s.Key, s.Raw, name)
	default:
		c.add(finding.NotShared, []string{name}, c.svcFix("share", name), "%s: other clusters do not use the endpoints in %s", name, name)
	}
}

// aliases lists the deprecated keys of a Service and the arguments of kubectl annotate that remove them without
// changing what holds: where an alias decides, its value goes to the new key, unless this Cilium would take it for junk.
func aliases(p place) (left, edits []string) {
	for _, k := range [][2]string{{cilium.AnnotationGlobal, cilium.AnnotationGlobalAlias}, {cilium.AnnotationShared, cilium.AnnotationSharedAlias}, {cilium.AnnotationAffinity, cilium.AnnotationAffinityAlias}} {
		value, ok := p.svc.Annotations[k[1]]
		if !ok {
			continue
		}
		left = append(left, k[1])
		_, decided := p.svc.Annotations[k[0]]
		drops := k[0] == cilium.AnnotationAffinity && !slices.Contains([]string{"local", "remote"}, strings.ToLower(value))
		if !decided && !drops {
			edits = append(edits, clusters.Quote(k[0]+"="+value))
		}
		edits = append(edits, k[1]+"-")
	}
	return left, edits
}

// apiFix is a kubectl command on this Service in one cluster.
func (c *checker) apiFix(p place, verb string, args ...string) string {
	m := clusters.Member{Context: p.cluster.Context}
	return fmt.Sprintf("%s -n %s %s %s %s", m.At("--context"), c.key.Namespace, verb, c.key.Name, strings.Join(args, " "))
}

// checkReach looks at where the Service is global and where it is at all.
func (c *checker) checkReach() {
	var local []string
	for _, p := range c.present {
		// A value that is not understood has a finding of its own.
		if !p.global.Value && !p.global.Junk() {
			local = append(local, p.cluster.Name)
		}
	}
	global := placeNames(c.global)
	if len(local) > 0 {
		c.add(finding.GlobalPartly, local, c.svcFix("globalize", local...), "global in %s, but not in %s: clients in %s get their own endpoints only, and nobody else gets those",
			strings.Join(global, ", "), strings.Join(local, ", "), strings.Join(local, ", "))
	}
	if len(c.missing) > 0 {
		effect := ""
		if len(c.present) == 1 {
			effect = "; global in one cluster alone has no effect"
		}
		c.add(finding.ServiceMissing, c.missing, "", "global in %s, and %s has no such Service: clients there cannot resolve the name%s", strings.Join(global, ", "), strings.Join(c.missing, ", "), effect)
	}
}

func (c *checker) checkAffinity(p place) {
	drops, certain := 0, len(p.rules) == 1
	var a cilium.AffinitySetting
	for _, r := range p.rules {
		a = cilium.AffinityOf(p.svc.Annotations, r.Rules)
		if a.Value == cilium.AffinityDropRemote {
			drops++
		}
	}
	name := p.cluster.Name
	switch {
	case drops > 0 && certain:
		c.add(finding.AffinityDrops, []string{name}, c.svcFix("affinity none", name), "%s: with affinity %q Cilium %s uses no remote endpoint for clients in %s", name, a.Raw, p.cluster.Version, name)
	case drops > 0:
		c.add(finding.AffinityJunk, []string{name}, c.svcFix("affinity none", name), "%s: affinity %q drops all remote endpoints if its Cilium, whose version is not known, is 1.18.0 to 1.19.5", name, a.Raw)
	case a.Junk():
		c.add(finding.AffinityJunk, []string{name}, c.svcFix("affinity none", name), "%s: affinity %q counts as none", name, a.Raw)
	}
}

// checkAffinityPair looks for a cluster that keeps its clients while another sends it its own.
func (c *checker) checkAffinityPair() {
	var local, remote []string
	for _, p := range c.global {
		switch cilium.AffinityOf(p.svc.Annotations, p.rules[0].Rules).Value {
		case cilium.AffinityLocal:
			local = append(local, p.cluster.Name)
		case cilium.AffinityRemote:
			remote = append(remote, p.cluster.Name)
		}
	}
	if len(local) > 0 && len(remote) > 0 {
		c.add(finding.AffinityPair, append(slices.Clone(local), remote...), c.svcFix("affinity none", remote...), "clients in %s stay at home, clients in %s go elsewhere", strings.Join(local, ", "), strings.Join(remote, ", "))
	}
}

// checkService looks at a global Service by itself.
func (c *checker) checkService(p place) {
	name := []string{p.cluster.Name}
	at := p.cluster.Name
	if v := p.svc.Labels[cilium.LabelServiceProxyName]; v != "" {
		c.add(finding.ProxyName, name, c.apiFix(p, "label service", cilium.LabelServiceProxyName+"-"), "%s: the label's value is %q", at, v)
	}
	if p.svc.Type == string(corev1.ServiceTypeExternalName) {
		c.add(finding.ExternalName, name, c.svcFix("unglobalize --include-system", at), "%s: the Service is an ExternalName", at)
		return
	}
	if p.svc.Selector && p.svc.ReadyEndpoints() == 0 {
		c.add(finding.NoEndpoints, name, "", "%s: none of %d endpoints is ready", at, len(p.svc.Endpoints))
	}
	if p.svc.SessionAffinity {
		c.add(finding.SessionAffinity, name, "", "%s: sessionAffinity is ClientIP", at)
	}
	if p.svc.InternalLocal || p.svc.ExternalLocal {
		c.add(finding.TrafficPolicy, name, "", "%s: internalTrafficPolicy or externalTrafficPolicy is Local", at)
	}
	if (p.svc.Type == string(corev1.ServiceTypeNodePort) || p.svc.Type == string(corev1.ServiceTypeLoadBalancer)) && !c.kpr[at] {
		c.add(finding.NeedsKPR, name, "", "%s: the Service is a %s and Cilium does not replace kube-proxy", at, p.svc.Type)
	}
	if ns := cilium.NamespaceGlobal(p.cluster.Namespaces[c.key.Namespace], p.cluster.DefaultGlobalNamespace); !ns.Value && p.rules[0].NamespaceGate {
		rule := finding.NamespaceGate
		condition := ""
		if len(p.rules) > 1 {
			rule.Severity, condition = finding.Warning, ", if its Cilium, whose version is not known, is 1.20"
		}
		c.add(rule, name, fmt.Sprintf("%s annotate namespace %s %s=true --overwrite", (&clusters.Member{Context: p.cluster.Context}).At("--context"), c.key.Namespace, cilium.AnnotationNamespaceGlobal),
			"%s: namespace %s is not global, so other clusters do not use the endpoints in %s%s", at, c.key.Namespace, at, condition)
	}
}

func (c *checker) checkHeadless() {
	var headless, other []string
	for _, p := range c.global {
		if p.svc.Headless {
			headless = append(headless, p.cluster.Name)
		} else {
			other = append(other, p.cluster.Name)
		}
	}
	if len(headless) > 0 && len(other) > 0 {
		c.add(finding.Headless, headless, "", "headless in %s, with a cluster IP in %s", strings.Join(headless, ", "), strings.Join(other, ", "))
	}
}

// checkPorts asks routing why a cluster's endpoints are not used, so that prediction and finding cannot differ.
// With several possible versions a mismatch counts only if it holds for the first.
func (c *checker) checkPorts() {
	rules := map[routing.Code]finding.Rule{routing.ReasonPort: finding.PortName, routing.ReasonProtocol: finding.PortProtocol, routing.ReasonFamily: finding.IPFamily}
	matcher := routing.NewMatcher(&c.st.Snapshot, c.key)
	for _, p := range c.global {
		for _, fe := range p.svc.Frontends() {
			for _, r := range matcher.Mismatches(p.cluster, fe) {
				c.add(rules[r.Code], []string{p.cluster.Name, r.Cluster}, "", "clients in %s on port %s: %s is %s", p.cluster.Name, portText(fe), r.Cluster, r)
			}
		}
	}
}

func portText(fe routing.Frontend) string {
	s := fmt.Sprintf("%d/%s", fe.Port.Port, fe.Protocol)
	if fe.Name != "" {
		s += " (" + fe.Name + ")"
	}
	return s
}

func placeNames(ps []place) []string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = p.cluster.Name
	}
	return out
}
