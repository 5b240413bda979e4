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
		j := judge(w, cilium.KindService)
		if p.proxied() { // nothing about Cluster Mesh has an effect on it
			j = judgement{rule: finding.WrongKey, text: "Cilium does not read " + w.Place() + " " + w.Key}
			j.rule.Severity = finding.Info
		}
		c.merge(note{rule: j.rule, text: j.text, cluster: []string{p.name()}, command: []string{
			rename(w, j.value, j.write, func(verb string, args ...string) string { return c.apiFix(p, verb+" service", args...) })}})
	}
}

// judgement is what a wrong key means for its object: the finding, and the value that the right key should get.
type judgement struct {
	rule  finding.Rule
	text  string
	value string
	write bool
}

// judge judges a wrong key of an object of a kind. Where the right key is set too, that one decides, and its value is somebody's decision: the wrong key is only removed.
func judge(w cilium.WrongKey, kind string) judgement {
	j := judgement{rule: finding.WrongKey, text: notRead(w, kind)}
	switch {
	case w.On != kind:
	case w.Now != nil && strings.EqualFold(*w.Now, w.Value):
		j.rule.Severity, j.text = finding.Info, fmt.Sprintf("Cilium does not read %s %s; %s is also set and decides", w.Place(), w.Key, beside(w))
	case w.Now != nil:
		j.text = fmt.Sprintf("Cilium does not read %s %s; %s is also set, has another value, and decides", w.Place(), w.Key, beside(w))
	default:
		if j.value, j.write = writable(w); j.value == "" {
			j.text += fmt.Sprintf(", and its value %q is not valid", w.Value)
		}
	}
	return j
}

// beside names the annotation that Cilium reads, if a wrong key is on the same object.
func beside(w cilium.WrongKey) string {
	if w.Label && w.Misplaced() {
		return "the annotation"
	}
	return w.Meant
}

// checkSliceKeys finds keys of EndpointSlices that Cilium does not read there. The chart and the operator copy the annotations of a Service to its
// slices, where they are harmless.
func (c *checker) checkSliceKeys(p place) {
	for _, slice := range slices.Sorted(maps.Keys(p.svc.WrongSliceKeys)) {
		for _, w := range p.svc.WrongSliceKeys[slice] {
			if _, there := cilium.ValueOf(p.svc.Annotations, w.Meant); there && w.On == cilium.KindService {
				continue
			}
			if _, copied := p.svc.Labels[w.Key]; copied && w.Label {
				continue // the Service's own is the finding
			}
			onSlice := func(verb string, args ...string) string {
				return c.kubectl(p.cluster, c.key.Namespace, append([]string{verb, "endpointslice", slice}, args...)...)
			}
			j := judge(w, cilium.KindSlice)
			fix := rename(w, j.value, j.write, onSlice)
			if w.On == cilium.KindService {
				fix = onSlice("annotate", w.Key+"-")
				if value, write := writable(w); write && !p.proxied() {
					fix = joinFixes([]string{c.apiFix(p, "annotate service", w.Meant+"="+value), fix})
				}
			}
			c.tellFix(j.rule, p, fix, "%s", "EndpointSlice "+slice+": "+j.text)
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
				j := judge(w, cilium.KindNamespace)
				k := byNamespace[ns]
				if k == nil {
					k = &checker{}
					byNamespace[ns] = k
				}
				k.merge(note{rule: j.rule, text: j.text, cluster: []string{c.Name}, command: []string{rename(w, j.value, j.write, func(verb string, args ...string) string {
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
