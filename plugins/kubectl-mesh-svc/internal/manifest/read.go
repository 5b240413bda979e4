package manifest

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// maxDepth bounds how deep lists of lists are searched.
const maxDepth = 16

// findServices returns the nodes that are Services, including those in lists.
func findServices(n *yaml.Node, depth int) []*yaml.Node {
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = n.Content[0]
	}
	fields := expand(n)
	if depth > maxDepth || scalar(fields["apiVersion"]) != "v1" {
		return nil
	}
	kind, items := scalar(fields["kind"]), fields["items"]
	switch {
	case kind == "Service":
		return []*yaml.Node{n}
	case n.Kind == yaml.AliasNode: // the Services of a list are found where the list is written
		return nil
	case kind != "List" && kind != "ServiceList" || items == nil || items.Kind != yaml.SequenceNode:
		return nil
	}
	var out []*yaml.Node
	for _, i := range items.Content {
		// The API leaves out of the items what the list says already.
		if f := expand(i); kind == "ServiceList" && f != nil && f["kind"] == nil && f["apiVersion"] == nil {
			out = append(out, i)
			continue
		}
		out = append(out, findServices(i, depth+1)...)
	}
	return out
}

// get returns the first value of a key as it is written, nil if there is none.
func get(m *yaml.Node, key string) *yaml.Node {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Kind == yaml.ScalarNode && m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// resolve returns what a node means: that to which an alias refers, or the node itself.
func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// scalar returns the value of a scalar or of an alias of one. It returns "" for null.
func scalar(n *yaml.Node) string {
	if n = resolve(n); n == nil || n.Kind != yaml.ScalarNode || null(n) {
		return ""
	}
	return n.Value
}

// null reports whether a node is YAML's null, written out or not.
func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// expand returns what a mapping or an alias of one means: its keys, and those that it merges (<<). It returns nil for anything else.
func expand(n *yaml.Node) map[string]*yaml.Node {
	if n = resolve(n); n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	out := map[string]*yaml.Node{}
	merge(out, n, map[*yaml.Node]bool{})
	return out
}

// merge adds the keys that are not yet there: those of a mapping precede those that it merges, and those of the first merged mapping precede
// those of the next. No mapping is merged twice: it would add nothing, and it may contain itself.
func merge(out map[string]*yaml.Node, n *yaml.Node, seen map[*yaml.Node]bool) {
	if n = resolve(n); n == nil || seen[n] {
		return
	}
	seen[n] = true
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			merge(out, c, seen)
		}
	case yaml.MappingNode:
		var merged []*yaml.Node
		own := map[string]*yaml.Node{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			switch k := resolve(n.Content[i]); {
			case k.Tag == yaml.MergeTag:
				merged = append(merged, n.Content[i+1])
			case k.Kind == yaml.ScalarNode:
				own[k.Value] = n.Content[i+1] // of a key that is there twice, kubectl takes the last value
			}
		}
		for k, v := range own {
			if _, found := out[k]; !found {
				out[k] = v
			}
		}
		for _, m := range merged {
			merge(out, m, seen)
		}
	}
}

// pairs returns the scalars of a mapping.
func pairs(m *yaml.Node) map[string]string {
	fields := expand(m)
	if fields == nil {
		return nil
	}
	out := map[string]string{}
	for k, v := range fields {
		out[k] = scalar(v)
	}
	return out
}

// read reads the fields of a Service that decide whether it is selected, as the API server would get them: aliases are followed and
// merged mappings are included. It refuses a name that is still to be filled in, because any name may be meant.
func (e *editor) read(n *yaml.Node) (*corev1.Service, error) {
	fields := expand(n)
	meta := expand(fields["metadata"])
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: scalar(meta["name"]), Namespace: scalar(meta["namespace"]),
		Labels: pairs(meta["labels"]), Annotations: pairs(meta["annotations"])}}
	switch {
	case strings.Contains(svc.Name, templateMark): // in quotes it parses, but it is still a template
		return nil, e.fail(n, "metadata.name is %q", svc.Name)
	case svc.Name == "" && isTemplate(e.document(n.Line)):
		return nil, e.withoutName(n)
	}
	svc.Spec.Type = corev1.ServiceType(scalar(expand(fields["spec"])["type"]))
	return svc, nil
}

// check refuses a Service that cannot be edited safely.
func (e *editor) check(n *yaml.Node) error {
	if err := e.plain(n, "the Service"); err != nil {
		return err
	}
	meta := get(n, "metadata")
	if scalar(expand(meta)["name"]) == "" {
		return e.withoutName(n)
	}
	if err := e.plain(meta, "metadata"); err != nil {
		return err
	}
	ann := get(meta, "annotations")
	if ann == nil || null(ann) {
		return nil
	}
	if err := e.plain(ann, "annotations"); err != nil {
		return err
	}
	for i := 1; i < len(ann.Content); i += 2 {
		if v := ann.Content[i]; v.Kind != yaml.ScalarNode && v.Kind != yaml.AliasNode {
			return e.fail(v, "annotation %s is not a string", ann.Content[i-1].Value)
		}
	}
	return nil
}

func (e *editor) withoutName(n *yaml.Node) error {
	return e.fail(n, "a Service without metadata.name")
}
