package check

import (
	"cmp"
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
)

// checkWrongKeys finds keys that only resemble a key of Cilium, whether or not the Service is global.
func (c *checker) checkWrongKeys(p place) {
	for _, w := range cilium.WrongServiceKeys(p.svc.Annotations, p.svc.Labels) {
		rule := finding.WrongKey
		text := notRead(w, cilium.KindService)
		value, write := "", false
		switch now, there := current(p.svc.Annotations, w.Meant); {
		case p.proxied(): // nothing about Cluster Mesh has an effect on it
			rule.Severity, text = finding.Info, "Cilium does not read "+w.Place()+" "+w.Key
		case w.On != cilium.KindService:
		case there && strings.EqualFold(now, w.Value):
			rule.Severity, text = finding.Info, fmt.Sprintf("Cilium does not read %s %s; %s is also set and decides", w.Place(), w.Key, w.Meant)
		case there:
			text = fmt.Sprintf("Cilium does not read %s %s; %s is also set, has another value, and decides", w.Place(), w.Key, w.Meant)
		default:
			value, write = writable(w)
			if value == "" {
				text += fmt.Sprintf(", and its value %q is not valid", w.Value)
			}
		}
		c.merge(note{rule: rule, text: text, cluster: []string{p.name()}, command: []string{
			rename(w, value, write, func(verb string, args ...string) string { return c.apiFix(p, verb+" service", args...) })}})
	}
}

// checkSliceKeys finds keys of EndpointSlices that Cilium does not read there. The chart and the operator copy the annotations of a Service to its
// slices, where they are harmless.
func (c *checker) checkSliceKeys(p place) {
	for _, slice := range slices.Sorted(maps.Keys(p.svc.WrongSliceKeys)) {
		for _, w := range p.svc.WrongSliceKeys[slice] {
			if _, there := current(p.svc.Annotations, w.Meant); there && w.On == cilium.KindService {
				continue
			}
			if _, copied := p.svc.Labels[w.Key]; copied && w.Label {
				continue // the Service's own is the finding
			}
			value, write := writable(w)
			onSlice := func(verb string, args ...string) string {
				return c.kubectl(p.cluster, c.key.Namespace, append([]string{verb, "endpointslice", slice}, args...)...)
			}
			text := "EndpointSlice " + slice + ": " + notRead(w, cilium.KindSlice)
			fix := rename(w, value, write, onSlice)
			if w.On == cilium.KindService {
				fix = onSlice("annotate", w.Key+"-")
				if write && !p.proxied() {
					fix = joinFixes([]string{c.apiFix(p, "annotate service", w.Meant+"="+value), fix})
				}
			}
			c.tellFix(finding.WrongKey, p, fix, "%s", text)
		}
	}
}

// notRead says that Cilium does not read a key on an object of a kind, and what it reads.
func notRead(w cilium.WrongKey, kind string) string {
	what := "Cilium does not read " + w.Place() + " " + w.Key
	switch {
	case w.On != kind && w.Misplaced():
		return fmt.Sprintf("%s on %s; it reads it on %s", what, article(kind), article(w.On))
	case w.On != kind:
		return fmt.Sprintf("%s; it reads %s on %s", what, w.Meant, article(w.On))
	case w.Label && w.Misplaced():
		return what + "; it reads the annotation"
	case w.Key == cilium.AnnotationNamespaceGlobal && kind == cilium.KindService:
		return fmt.Sprintf("%s on %s; it reads %s", what, article(kind), w.Meant)
	}
	return what + "; it reads " + w.Meant
}

func article(noun string) string {
	if strings.ContainsAny(noun[:1], "AEIOU") {
		return "an " + noun
	}
	return "a " + noun
}

// current is the value of an annotation of a Service, under its deprecated spelling too.
func current(ann map[string]string, key string) (string, bool) {
	alias := map[string]string{cilium.AnnotationGlobal: cilium.AnnotationGlobalAlias, cilium.AnnotationShared: cilium.AnnotationSharedAlias, cilium.AnnotationAffinity: cilium.AnnotationAffinityAlias}[key]
	for _, k := range []string{key, alias} {
		if v, ok := ann[k]; ok && k != "" {
			return v, true
		}
	}
	return "", false
}

// writable returns the value for the right key, "" if the value is not valid, and whether it must be written:
// affinity none is never written (see Affinity).
func writable(w cilium.WrongKey) (value string, write bool) {
	lower := strings.ToLower(strings.TrimSpace(w.Value))
	known := map[string][]string{
		cilium.AnnotationGlobal: {"true", "false"}, cilium.AnnotationShared: {"true", "false"}, cilium.AnnotationSyncEndpointSlices: {"true", "false"},
		cilium.AnnotationNamespaceGlobal: {"true", "false"}, cilium.AnnotationAffinity: {"local", "remote", "none"},
	}[w.Meant]
	switch {
	case known == nil:
		return w.Value, w.Value != ""
	case !slices.Contains(known, lower):
		return "", false
	}
	return lower, lower != "none"
}

// rename returns the command that removes a wrong key and writes the right one. kubectl builds the command for a verb and its arguments.
func rename(w cilium.WrongKey, value string, write bool, kubectl func(verb string, args ...string) string) string {
	var set []string
	if write {
		set = []string{w.Meant + "=" + value}
	}
	remove := w.Key + "-"
	switch {
	case !w.Label:
		return kubectl("annotate", append(set, remove)...)
	case write:
		return joinFixes([]string{kubectl("annotate", set...), kubectl("label", remove)})
	}
	return kubectl("label", remove)
}

// Namespaces looks for keys of Namespaces that only look like one that Cilium reads there.
func Namespaces(st *meshstate.State, members []*clusters.Member) []v1alpha1.Finding {
	cmds := newCommands(members)
	byNamespace := map[string]*checker{}
	for i := range st.Clusters {
		c := &st.Clusters[i]
		for _, ns := range slices.Sorted(maps.Keys(c.WrongKeys)) {
			for _, w := range c.WrongKeys[ns] {
				text, value, write := notRead(w, cilium.KindNamespace), "", false
				if w.On == cilium.KindNamespace {
					if value, write = writable(w); value == "" {
						text += fmt.Sprintf(", and its value %q is not valid", w.Value)
					}
				}
				k := byNamespace[ns]
				if k == nil {
					k = &checker{}
					byNamespace[ns] = k
				}
				k.merge(note{rule: finding.WrongKey, text: text, cluster: []string{c.Name}, command: []string{rename(w, value, write, func(verb string, args ...string) string {
					return cmp.Or(keptEdit(c.NamespaceOwners[ns].Keeper, verb, args...), cmds.kubectl(c, "", slices.Concat([]string{verb, "namespace", ns}, args)...))
				})}})
			}
		}
	}
	var out []v1alpha1.Finding
	for _, ns := range slices.Sorted(maps.Keys(byNamespace)) {
		for _, n := range byNamespace[ns].notes {
			out = append(out, n.rule.New("namespace/"+ns, n.cluster, strings.Join(n.cluster, ", ")+": "+n.text, joinFixes(n.command)))
		}
	}
	finding.Sort(out)
	return out
}

// wrongKey is the first key that looks like the given annotation of a Service, "" for none.
func wrongKey(svc *routing.Service, meant string) string {
	for _, w := range cilium.WrongServiceKeys(svc.Annotations, svc.Labels) {
		if w.Meant == meant {
			return w.Key
		}
	}
	return ""
}
