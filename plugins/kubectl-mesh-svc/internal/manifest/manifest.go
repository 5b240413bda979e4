// Package manifest changes annotations of the Services in a manifest as with an editor: only the
// affected lines change; comments, order, quoting, indentation and line ends of everything else are preserved byte for byte.
// It edits the text at the positions of the nodes that the YAML parser reports. It then parses the result and compares it:
// a result that differs from the input in anything but those annotations is refused. It is pure: bytes in, bytes out.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
)

// Error is an error in a line of a file.
type Error struct {
	File string
	Line int // 0 if unknown
	Text string
	// Kind says whether the file is a manifest at all.
	Kind ErrorKind
}

// ErrorKind tells a manifest that cannot be edited from a file that is not a manifest.
type ErrorKind int

// The kinds of errors.
const (
	Refused  ErrorKind = iota // a manifest that cannot be edited safely
	NotYAML                   // the file does not parse
	Template                  // the file becomes a manifest, such as a template of a Helm chart
)

// Error returns FILE:LINE: TEXT.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// Service is a Service of a manifest, with what was changed in it.
type Service struct {
	*corev1.Service // name, namespace, labels, annotations and type; nothing else is read
	Line            int
	Before, After   annotate.Values // the keys that differ; empty where nothing does
}

// Result is an edited manifest.
type Result struct {
	Text     []byte
	Services []Service // all Services of the manifest, also those that were not selected
}

// Edit sets values on the Services for which want returns true. A nil value removes the annotation.
func Edit(file string, raw []byte, want func(*corev1.Service) bool, values annotate.Values) (*Result, error) {
	r, err := edit(file, raw, want, values)
	// Whatever is odd about a template, it is because something is still to be filled in.
	if e := (*Error)(nil); errors.As(err, &e) && bytes.Contains(raw, []byte("{{")) {
		e.Kind = Template
	}
	return r, err
}

func edit(file string, raw []byte, want func(*corev1.Service) bool, values annotate.Values) (*Result, error) {
	bom, body := splitBOM(raw)
	docs, err := parse(file, body)
	if err != nil {
		return nil, err
	}
	e := &editor{file: file, text: newText(body), aliased: map[*yaml.Node]bool{}, edited: map[*yaml.Node]annotate.Values{}}
	var services []*yaml.Node
	for _, d := range docs {
		e.findAliased(d)
		services = append(services, findServices(d, 0)...)
	}
	r := &Result{}
	for _, n := range services {
		svc, err := e.read(n)
		if err != nil {
			return nil, err
		}
		s := Service{Service: svc, Line: n.Line}
		if want(svc) {
			if s.Before, s.After, err = e.edit(n, values); err != nil {
				return nil, err
			}
		}
		r.Services = append(r.Services, s)
	}
	out, err := e.text.apply()
	if err != nil {
		return nil, &Error{File: file, Text: err.Error()}
	}
	again, err := parse(file, out)
	if err != nil || !e.same(docs, again) {
		return nil, &Error{File: file, Line: firstEdited(e.edited), Text: "the annotations cannot be changed without changing something else here; write the Service's metadata in plain block style"}
	}
	r.Text = append(bom, out...) //nolint:gocritic // a new slice is meant
	return r, nil
}

func firstEdited(edited map[*yaml.Node]annotate.Values) int {
	line := 0
	for n := range edited {
		if line == 0 || n.Line < line {
			line = n.Line
		}
	}
	return line
}

// splitBOM takes off a byte order mark: it counts for no column.
func splitBOM(raw []byte) (bom, body []byte) {
	const mark = "\xef\xbb\xbf"
	if bytes.HasPrefix(raw, []byte(mark)) {
		return []byte(mark), raw[len(mark):]
	}
	return nil, raw
}

func parse(file string, raw []byte) ([]*yaml.Node, error) {
	if bytes.HasPrefix(raw, []byte("\xfe\xff")) || bytes.HasPrefix(raw, []byte("\xff\xfe")) {
		return nil, &Error{File: file, Text: "it is UTF-16; save it as UTF-8", Kind: NotYAML}
	}
	docs, p := decode(raw)
	if p != nil {
		return nil, p.refuse(file, raw)
	}
	return docs, nil
}

// maxDepth bounds how deep lists of lists are searched.
const maxDepth = 16

// findServices returns the mappings that are Services, including those in lists.
func findServices(n *yaml.Node, depth int) []*yaml.Node {
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = n.Content[0]
	}
	if n.Kind != yaml.MappingNode || depth > maxDepth || scalar(get(n, "apiVersion")) != "v1" {
		return nil
	}
	kind, items := scalar(get(n, "kind")), get(n, "items")
	switch {
	case kind == "Service":
		return []*yaml.Node{n}
	case kind != "List" && kind != "ServiceList" || items == nil || items.Kind != yaml.SequenceNode:
		return nil
	}
	var out []*yaml.Node
	for _, i := range items.Content {
		// The API leaves out of the items what the list says already.
		if kind == "ServiceList" && i.Kind == yaml.MappingNode && get(i, "kind") == nil && get(i, "apiVersion") == nil {
			out = append(out, i)
			continue
		}
		out = append(out, findServices(i, depth+1)...)
	}
	return out
}

// get returns the first value of a key, nil if there is none.
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

func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// read reads the fields of a Service that decide whether it is selected, and refuses a Service that cannot be edited safely.
func (e *editor) read(n *yaml.Node) (*corev1.Service, error) {
	if err := e.plain(n, "the Service"); err != nil {
		return nil, err
	}
	meta := get(n, "metadata")
	if scalar(get(meta, "name")) == "" {
		return nil, e.fail(n, "a Service without metadata.name%s", template(e.text.raw))
	}
	if name := scalar(get(meta, "name")); strings.Contains(name, "{{") { // in quotes it parses, but it is still a template
		return nil, e.fail(n, "metadata.name is %q%s", name, template(e.text.raw))
	}
	if err := e.plain(meta, "metadata"); err != nil {
		return nil, err
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: scalar(get(meta, "name")), Namespace: scalar(get(meta, "namespace"))}}
	svc.Spec.Type = corev1.ServiceType(scalar(get(get(n, "spec"), "type")))
	svc.Labels = pairs(get(meta, "labels"))
	if ann := get(meta, "annotations"); ann != nil && !null(ann) {
		if err := e.plain(ann, "annotations"); err != nil {
			return nil, err
		}
		for i := 1; i < len(ann.Content); i += 2 {
			if v := ann.Content[i]; v.Kind != yaml.ScalarNode && v.Kind != yaml.AliasNode {
				return nil, e.fail(v, "annotation %s is not a string", ann.Content[i-1].Value)
			}
		}
		svc.Annotations = pairs(ann)
	}
	return svc, nil
}

// plain refuses a mapping that has an alias, merges another mapping, or contains a key twice.
func (e *editor) plain(n *yaml.Node, what string) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return e.fail(n, "%s is an alias (*%s); write it out here to change it", what, n.Value)
	case n.Kind != yaml.MappingNode:
		return e.fail(n, "%s is not a mapping", what)
	case e.aliased[n]:
		return e.fail(n, "%s is also used by an alias (*%s); write it out there to change it here", what, n.Anchor)
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		k := n.Content[i]
		switch {
		case k.Kind != yaml.ScalarNode:
			return e.fail(k, "a key of %s is not a string", what)
		case k.Tag == yaml.MergeTag:
			return e.fail(k, "%s merges another mapping (<<); write it out to change it", what)
		case seen[k.Value]:
			return e.fail(k, "%s contains %s twice", what, k.Value)
		}
		seen[k.Value] = true
	}
	return nil
}

func (e *editor) findAliased(n *yaml.Node) {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		e.markAliased(n.Alias)
	}
	for _, c := range n.Content {
		e.findAliased(c)
	}
}

// markAliased marks what an alias refers to and everything in it.
func (e *editor) markAliased(n *yaml.Node) {
	if e.aliased[n] {
		return
	}
	e.aliased[n] = true
	for _, c := range n.Content {
		e.markAliased(c)
	}
}

func (e *editor) fail(n *yaml.Node, format string, args ...any) error {
	return &Error{File: e.file, Line: n.Line, Text: fmt.Sprintf(format, args...)}
}

// null reports whether a node is YAML's null, written out or not.
func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// pairs returns the scalars of a mapping.
func pairs(m *yaml.Node) map[string]string {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	out := map[string]string{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		v := m.Content[i+1]
		if v.Kind == yaml.AliasNode && v.Alias != nil {
			v = v.Alias
		}
		out[m.Content[i].Value] = scalar(v)
	}
	return out
}

// same reports whether two manifests mean the same but for the edited annotations.
func (e *editor) same(before, after []*yaml.Node) bool {
	return slices.EqualFunc(before, after, e.equal)
}

func (e *editor) equal(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.Anchor != b.Anchor || a.Style != b.Style || a.Kind != yaml.AliasNode && a.ShortTag() != b.ShortTag() {
		return false
	}
	values, ok := e.edited[a]
	if !ok {
		return slices.EqualFunc(a.Content, b.Content, e.equal)
	}
	meta, now := get(a, "metadata"), get(b, "metadata")
	if now == nil || !slices.EqualFunc(without(a, "metadata"), without(b, "metadata"), e.equal) ||
		!slices.EqualFunc(without(meta, "annotations"), without(now, "annotations"), e.equal) {
		return false
	}
	want := typed(get(meta, "annotations"))
	for k, v := range values {
		delete(want, k)
		if v != nil {
			want[k] = "!!str " + *v
		}
	}
	return maps.Equal(want, typed(get(now, "annotations")))
}

// without returns the content of a mapping but for one key and its value.
func without(m *yaml.Node, key string) []*yaml.Node {
	var out []*yaml.Node
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value != key {
			out = append(out, m.Content[i], m.Content[i+1])
		}
	}
	return out
}

// typed returns the annotations with their types; none is the same as an empty mapping.
func typed(m *yaml.Node) map[string]string {
	out := map[string]string{}
	if m == nil || m.Kind != yaml.MappingNode {
		return out
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		v := m.Content[i+1]
		if v.Kind == yaml.AliasNode {
			out[m.Content[i].Value] = "* " + v.Value
			continue
		}
		out[m.Content[i].Value] = v.ShortTag() + " " + v.Value
	}
	return out
}
