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

	corev1 "k8s.io/api/core/v1"
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
	bom, body := splitBOM(raw)
	docs, err := parse(file, body)
	if err != nil {
		return nil, err
	}
	e := &editor{file: file, text: newText(body), docs: docs, aliased: map[*yaml.Node]bool{}, edited: map[*yaml.Node]annotate.Values{}}
	r, err := e.run(want, values)
	if err != nil {
		return nil, e.explain(err)
	}
	r.Text = append(bom, r.Text...)
	return r, nil
}

// explain notes in an error of a Service that its document is a template: what is odd about it is then still to be filled in.
// A template elsewhere in the file, such as that of an alert, explains nothing.
func (e *editor) explain(err error) error {
	if refused := (*Error)(nil); errors.As(err, &refused) && isTemplate(e.document(refused.Line)) {
		refused.Kind = Template
		refused.Text += templateHint
	}
	return err
}

// document returns the text of the document that a line is in.
func (e *editor) document(line int) []byte {
	from, to := 0, len(e.text.raw)
	for _, d := range e.docs[min(1, len(e.docs)):] { // what precedes the first is part of it
		switch start := e.text.lines[d.Line-1]; {
		case d.Line <= line:
			from = start
		case start < to:
			to = start
		}
	}
	return e.text.raw[from:to]
}

func (e *editor) run(want func(*corev1.Service) bool, values annotate.Values) (*Result, error) {
	var services []*yaml.Node
	for _, d := range e.docs {
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
		if want(svc) { // a Service that is not meant is not edited, so that it may be written in any way
			if err := e.check(n); err != nil {
				return nil, err
			}
			if s.Before, s.After, err = e.edit(n, values); err != nil {
				return nil, err
			}
		}
		r.Services = append(r.Services, s)
	}
	out, err := e.text.apply()
	if err != nil {
		return nil, &Error{File: e.file, Line: firstEdited(e.edited), Text: err.Error()}
	}
	again, err := parse(e.file, out)
	if err != nil || !e.same(e.docs, again) {
		return nil, &Error{File: e.file, Line: firstEdited(e.edited), Text: "the annotations cannot be changed without changing something else here; write the Service's metadata in plain block style"}
	}
	r.Text = out
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
