package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/exempt"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/verb"
)

// svcFix fixes this Service in some clusters with a mesh-svc command, such as "affinity none". That command is refused in a cluster where a controller owns
// an annotation that it would change (annotate.Plan.RefuseConflicts); there the fix is the same edit at its source.
func (c *checker) svcFix(command string, in ...string) string {
	values := written(command)
	var accepting, sources []string
	clustersOf := map[string][]string{} // by source
	for _, p := range c.present {
		if !slices.Contains(in, p.name()) {
			continue
		}
		source := p.keptAnnotations(values)
		switch {
		case source == "":
			accepting = append(accepting, p.name())
			continue
		case clustersOf[source] == nil:
			sources = append(sources, source)
		}
		clustersOf[source] = append(clustersOf[source], p.name())
	}
	var fixes []string
	for _, source := range sources {
		fix := source
		if len(clustersOf[source]) < len(in) {
			fix = "in " + strings.Join(clustersOf[source], ", ") + ": " + source
		}
		fixes = append(fixes, fix)
	}
	if len(accepting) > 0 {
		var flags []string
		if c.system() && !strings.Contains(command, "--include-system") {
			flags = []string{"--include-system"}
		}
		fixes = append(fixes, c.change(command, c.key, accepting, flags...))
	}
	return joinFixes(fixes)
}

// written returns what a mesh-svc command of a fix writes. No fix has a flag that writes more.
func written(command string) annotate.Values {
	var edit verb.Edit
	switch words := strings.Fields(command); words[0] {
	case "globalize":
		edit, _ = verb.Globalize("", "") // fails only for a value of its flags
	case exempt.Unglobalize:
		edit = verb.Unglobalize()
	case "share":
		edit = verb.Share()
	case "affinity":
		edit, _ = verb.Affinity(words[1]) // a fix has a valid value
	}
	return edit.Values
}

// keptAnnotations returns the durable fix in place of a change to these values, "" if no controller owns an annotation that would change.
func (p place) keptAnnotations(values annotate.Values) string {
	var edits []string
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(values))) { // a deprecated key comes last
		value := values[key]
		now, there := p.svc.Annotations[key]
		switch {
		case value != nil && (!there || now != *value):
			edits = append(edits, key+"="+*value)
		case value == nil && there:
			edits = append(edits, key+"-")
		}
	}
	return keptEdit(p.svc.Owners.Keeper, "annotate", edits...)
}

// keptElsewhere returns the durable fix in place of a kubectl edit of the Service, "" if the edit lasts. verb is "annotate service", "label service" or
// "patch service"; args are the arguments of the edit.
func (c *checker) keptElsewhere(p place, verb string, args ...string) string {
	return keptEdit(p.svc.Owners.ServiceKeeper, verb, args...)
}

// tellGlobalize adds a note that globalize fixes. That command refuses a Service of only one cluster, so there the fix is the same edit with kubectl;
// then a Service that is missing in the other clusters has its own finding.
func (c *checker) tellGlobalize(r finding.Rule, p place, format string, args ...any) {
	if len(c.present) > 1 {
		c.tell(r, p, "globalize", format, args...)
		return
	}
	edit := []string{cilium.AnnotationGlobal + "=true"}
	if _, there := p.svc.Annotations[cilium.AnnotationGlobalAlias]; there {
		edit = append(edit, cilium.AnnotationGlobalAlias+"-")
	}
	c.tellFix(r, p, c.apiFix(p, "annotate service", append(edit, "--overwrite")...), format, args...)
}

// keptEdit is keptElsewhere for any object; keeper tells who keeps fields of it.
func keptEdit(keeper func(...owners.Field) *owners.Keeper, verb string, args ...string) string {
	field := owners.Annotation
	switch strings.Fields(verb)[0] {
	case "label":
		field = owners.Label
	case "annotate":
	default:
		return ""
	}
	var fields []owners.Field
	var edits []string
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") {
			continue
		}
		key, value, set := strings.Cut(arg, "=")
		if set {
			edits = append(edits, fmt.Sprintf("set %s to %q", key, value))
		} else {
			key = strings.TrimSuffix(key, "-")
			edits = append(edits, "remove "+key)
		}
		fields = append(fields, field(key))
	}
	return durable(keeper(fields...), strings.Join(edits, " and "))
}

// notLasting is part of each durable fix, which is a sentence, not a command.
const notLasting = " would not last: "

// setHelmValue begins each fix that is a sentence about a Helm value.
const setHelmValue = "set the Helm value "

// durable says where to make an edit so that it lasts, "" if no controller would revert it.
func durable(k *owners.Keeper, edit string) string {
	if k == nil {
		return ""
	}
	return fmt.Sprintf("%s in %s; on the object itself it%s%s", edit, k.Where(), notLasting, k.Because())
}

// specKept is keptElsewhere for a field of the spec.
func (c *checker) specKept(p place, field, value string) string {
	return durable(p.svc.Owners.ServiceKeeper(owners.SpecOf(field)), fmt.Sprintf("set %s to %s", field, value))
}

// helmKept returns the durable fix if something other than Helm manages Cilium's configuration.
func (c *checker) helmKept(p place, set string) string {
	m := c.members[p.name()]
	if m == nil || m.Keeper == nil {
		return ""
	}
	return fmt.Sprintf(setHelmValue+"%s in %s; an upgrade with helm%s%s", set, m.Keeper.Where(), notLasting, m.Keeper.Because())
}

// gateKept returns the durable fix if a controller owns the namespace's annotation.
func (c *checker) gateKept(p place) string {
	return durable(p.cluster.NamespaceOwners[c.key.Namespace].Keeper(owners.Annotation(cilium.AnnotationNamespaceGlobal)), fmt.Sprintf("set %s to \"true\"", cilium.AnnotationNamespaceGlobal))
}

// nothingToShare reports whether a Service intentionally has no endpoints: without a selector it serves only the endpoints of other clusters.
func (p place) nothingToShare() bool { return !p.svc.Selector && len(p.svc.Endpoints) == 0 }

// joinFixes joins the fixes of several clusters: commands for a shell, or sentences.
func joinFixes(fixes []string) string {
	for _, fix := range fixes {
		if strings.Contains(fix, notLasting) || strings.HasPrefix(fix, setHelmValue) {
			return strings.Join(fixes, ". ")
		}
	}
	return strings.Join(fixes, " && ")
}
