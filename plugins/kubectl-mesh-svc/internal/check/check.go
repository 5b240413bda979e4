// Package check finds what is wrong with the Services and the clusters of a mesh: each finding has the clusters that it applies to and the
// command that fixes it. It has no flags, prints nothing and uses no client: it works on values that were read.
package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/exempt"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/parallel"
)

// Services checks Services over all members that were read. Services that are not global in any cluster, and that
// have no sign that they were meant to be, have no findings.
func Services(st *meshstate.State, members []*clusters.Member, keys []routing.Key) []v1alpha1.Finding {
	cmds := newCommands(members)
	type part struct {
		absent   map[string]*absence
		findings []v1alpha1.Finding
	}
	parts := parallel.Map(keys, func(keys []routing.Key) part {
		p := part{absent: map[string]*absence{}}
		for _, key := range keys {
			p.findings = append(p.findings, newChecker(st, key, cmds).run(p.absent)...)
		}
		return p
	})
	absent := map[string]*absence{}
	var out []v1alpha1.Finding
	for _, p := range parts {
		out = append(out, p.findings...)
		for ns, a := range p.absent {
			mergeAbsence(absent, ns, a)
		}
	}
	for _, ns := range slices.Sorted(maps.Keys(absent)) {
		out = append(out, absent[ns].finding(ns, cmds))
	}
	finding.Sort(out)
	return out
}

func membersByName(members []*clusters.Member) map[string]*clusters.Member {
	out := make(map[string]*clusters.Member, len(members))
	for _, m := range members {
		out[m.Name] = m
	}
	return out
}

// place is one Service in one cluster.
type place struct {
	cluster *routing.Cluster
	svc     *routing.Service
	rules   []cilium.RuleSet
	global  cilium.Bool
}

func (p place) name() string { return p.cluster.Name }

// external reports whether the Service is a DNS alias, without endpoints.
func (p place) external() bool { return p.svc.Type == typeExternalName }

// The types of a Service that matter here, as Kubernetes spells them.
const (
	typeExternalName = "ExternalName"
	typeNodePort     = "NodePort"
	typeLoadBalancer = "LoadBalancer"
)

// uses reports whether clients of p would get the endpoints of o, according to annotations and peers.
func (p place) uses(o place) bool {
	return p.cluster != o.cluster && p.global.Value && cilium.Shared(o.svc.Annotations).Value &&
		(!p.cluster.PeersKnown || slices.Contains(p.cluster.Peers, o.cluster.Name))
}

// checker checks one Service over all clusters.
type checker struct {
	commands
	st      *meshstate.State
	key     routing.Key
	present []place
	global  []place            // global and present, without those that the L7 proxy answers
	missing []*routing.Cluster // clusters that were read, in which the Service does not exist
	notes   []note
	// sharedNowhere: one finding for all clusters replaces one for each.
	sharedNowhere bool
	out           []v1alpha1.Finding
}

func newChecker(st *meshstate.State, key routing.Key, cmds commands) *checker {
	c := &checker{commands: cmds, st: st, key: key}
	for i := range st.Clusters {
		cl := &st.Clusters[i]
		svc := cl.Services[key]
		switch {
		case cl.Gap != "":
		case svc == nil:
			c.missing = append(c.missing, cl)
		default:
			p := place{cl, svc, cilium.RulesFor(cl.Version), cilium.Global(svc.Annotations)}
			c.present = append(c.present, p)
			if p.global.Value && !p.proxied() {
				c.global = append(c.global, p)
			}
		}
	}
	return c
}

// run does all checks. Missing namespaces are collected over all Services.
func (c *checker) run(absent map[string]*absence) []v1alpha1.Finding {
	if c.key == exempt.APIServer {
		c.checkAPIServer()
		return c.out
	}
	c.sharedNowhere = c.isSharedNowhere()
	for _, p := range c.present {
		c.checkAnnotations(p)
		c.checkWrongKeys(p)
		c.checkSliceKeys(p)
	}
	if len(c.global) > 0 {
		c.checkReach(absent)
		c.checkCancelled()
		for _, p := range c.global {
			c.checkAffinity(p)
			c.checkService(p)
			c.checkSync(p)
		}
		c.checkAffinityPair()
		c.checkTypes()
		c.checkHeadless()
		c.checkPorts()
		c.checkTargetPorts()
	}
	c.settle()
	if c.derived() && len(c.global) > 0 {
		c.redirectDerived()
	}
	return c.out
}

// object is the Service as findings name it.
func (c *checker) object() string { return "service/" + c.key.String() }

// add adds a finding with the command that fixes it.
func (c *checker) add(r finding.Rule, clusterNames []string, fix, format string, args ...any) {
	c.out = append(c.out, r.New(c.object(), clusterNames, fmt.Sprintf(format, args...), fix))
}

// note is a finding for one cluster. Equal notes of several clusters are merged into one.
type note struct {
	rule    finding.Rule
	text    string
	cluster []string
	// verb is a mesh-svc command that accepts --in, command is any other command. At most one of them is set.
	verb    string
	command []string
}

// tell adds a note that a mesh-svc command fixes.
func (c *checker) tell(r finding.Rule, p place, verb, format string, args ...any) {
	c.merge(note{rule: r, text: fmt.Sprintf(format, args...), cluster: []string{p.name()}, verb: verb})
}

// tellFix adds a note that another command fixes; if the command is empty, no command fixes it.
func (c *checker) tellFix(r finding.Rule, p place, command, format string, args ...any) {
	n := note{rule: r, text: fmt.Sprintf(format, args...), cluster: []string{p.name()}}
	if command != "" {
		n.command = []string{command}
	}
	c.merge(n)
}

func (c *checker) merge(n note) {
	for i := range c.notes {
		o := &c.notes[i]
		if o.rule.ID == n.rule.ID && o.rule.Severity == n.rule.Severity && o.text == n.text && o.verb == n.verb {
			o.cluster = append(o.cluster, n.cluster...)
			o.command = append(o.command, n.command...)
			return
		}
	}
	c.notes = append(c.notes, n)
}

// settle turns the notes into findings.
func (c *checker) settle() {
	for _, n := range c.notes {
		fix := joinFixes(n.command)
		if n.verb != "" {
			fix = c.svcFix(n.verb, n.cluster...)
		}
		c.add(n.rule, n.cluster, fix, "%s: %s", strings.Join(n.cluster, ", "), n.text)
	}
}

// system reports whether the writing commands require --include-system for the Service.
func (c *checker) system() bool {
	return slices.ContainsFunc(c.present, func(p place) bool {
		mesh := ""
		if m := c.members[p.name()]; m != nil {
			mesh = m.CiliumNamespace
		}
		return exempt.UnlessIncluded(c.key.Namespace, p.svc.Type, p.svc.Labels, mesh, p.cluster.ServiceProxyName) != ""
	})
}

// apiFix is a kubectl command on this Service in one cluster. The arguments are not quoted.
func (c *checker) apiFix(p place, verb string, args ...string) string {
	if fix := c.keptElsewhere(p, verb, args...); fix != "" {
		return fix
	}
	return c.kubectl(p.cluster, c.key.Namespace, slices.Concat(strings.Fields(verb), []string{c.key.Name}, args)...)
}

func (c *checker) checkAnnotations(p place) {
	if p.proxied() {
		c.checkProxied(p)
	} else if p.global.Junk() {
		c.tellGlobalize(finding.GlobalJunk, p, "%s is %q, not \"true\": the Service is local there", p.global.Key, p.global.Raw)
	}
	if left, edits := aliases(p); len(left) > 0 && !p.proxied() {
		c.tellFix(finding.AliasLeft, p, c.apiFix(p, "annotate service", edits...), "%s", strings.Join(left, ", "))
	}
	drained := drainrecord.OutOfService(p.svc.Annotations, p.name())
	undrain := c.undrain(p.name())
	switch {
	case drained:
		c.tellFix(finding.Drained, p, undrain, "drained: other clusters do not use the endpoints there until undrain")
	case drainrecord.Marked(p.svc.Annotations, p.name()):
		c.tellFix(finding.Drained, p, undrain, "the annotation of a drain is still there, but %s was changed since", cilium.AnnotationShared)
	}
	if !p.global.Value || p.proxied() {
		return
	}
	switch s := cilium.Shared(p.svc.Annotations); {
	case s.Value, drained, p.nothingToShare():
	case s.Junk():
		c.tell(finding.SharedJunk, p, "share", "%s is %q, not \"true\": other clusters do not use the endpoints there", s.Key, s.Raw)
	case !c.sharedNowhere:
		c.tell(finding.NotShared, p, "share", "other clusters do not use the endpoints there")
	}
}

// aliases lists the deprecated keys of a Service, and the arguments of kubectl annotate that remove them without
// changing the effective settings: if an alias decides, its value moves to the new key, unless this Cilium would reject it there.
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
			edits = append(edits, k[0]+"="+value)
		}
		edits = append(edits, k[1]+"-")
	}
	return left, edits
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
	switch {
	case drops > 0 && certain:
		c.tell(finding.AffinityDrops, p, "affinity none", "with affinity %q, Cilium %s uses no remote endpoints for clients there", a.Raw, p.cluster.Version)
	case drops > 0:
		c.tell(finding.AffinityJunk, p, "affinity none", "affinity %q drops all remote endpoints if Cilium (version unknown) is 1.18.0 to 1.19.5", a.Raw)
	case a.Junk():
		c.tell(finding.AffinityJunk, p, "affinity none", "affinity %q counts as none", a.Raw)
	}
}

// checkAffinityPair finds a cluster with affinity local next to one with affinity remote.
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
		c.add(finding.AffinityPair, append(slices.Clone(local), remote...), c.svcFix("affinity none", remote...), "affinity is local in %[1]s and remote in %[2]s: the endpoints in %[1]s get the clients of both", strings.Join(local, ", "), strings.Join(remote, ", "))
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
