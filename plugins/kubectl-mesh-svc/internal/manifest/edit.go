package manifest

import (
	"bytes"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
)

// editor collects the replacements in one manifest.
type editor struct {
	file    string
	text    *text
	docs    []*yaml.Node
	aliased map[*yaml.Node]bool // what an alias refers to
	edited  map[*yaml.Node]annotate.Values
}

// entry is a key of a mapping with its place in the text.
type entry struct {
	key, value *yaml.Node
	from, to   int // from the key's first to behind the value's last byte
	gone       bool
}

// edit sets values on one Service and returns the keys that differ.
func (e *editor) edit(n *yaml.Node, values annotate.Values) (before, after annotate.Values, err error) {
	meta := get(n, "metadata")
	ann := get(meta, "annotations")
	before, after = annotate.Values{}, annotate.Values{}
	for k, v := range values {
		var now *string
		if ann != nil {
			if node := get(ann, k); node != nil {
				if node.Kind == yaml.AliasNode || e.aliased[node] {
					return nil, nil, e.fail(node, "the value of %s is shared by an alias; write it out to change it", k)
				}
				now = &node.Value
				if node.ShortTag() != "!!str" && v != nil { // true without quotes: Kubernetes refuses it
					now = nil
				}
			}
		}
		if !annotate.Same(now, v) {
			before[k], after[k] = now, v
		}
	}
	if len(after) == 0 {
		return before, after, nil
	}
	e.edited[n] = after
	style := styleOf(n)
	switch {
	case ann == nil || null(ann):
		err = e.addAnnotations(n, meta, ann, after, style)
	case ann.Style&yaml.FlowStyle != 0:
		err = e.editFlow(meta, ann, after, style)
	default:
		err = e.editBlock(meta, ann, after)
	}
	if err != nil {
		return nil, nil, e.fail(meta, "the annotations of service %s cannot be edited as text (%v); write them in plain block style", scalar(get(meta, "name")), err)
	}
	return before, after, nil
}

// styleOf says how a Service is written: JSON quotes its keys.
func styleOf(n *yaml.Node) (json bool) {
	return n.Style&yaml.FlowStyle != 0 && len(n.Content) > 0 && n.Content[0].Style&yaml.DoubleQuotedStyle != 0
}

// added returns the keys that get a value, sorted.
func added(values annotate.Values) []string {
	var keys []string
	for k, v := range values {
		if v != nil {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// flowEntries writes values as {a: "b"} holds them, or as JSON does.
func flowEntries(values annotate.Values, keys []string, json bool, sep string) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		if json {
			k = quote(k)
		}
		parts[i] = k + ": " + quote(*values[keys[i]])
	}
	return strings.Join(parts, sep)
}

// quote writes one of the plugin's values, such as true and local. They are always quoted.
func quote(s string) string { return `"` + s + `"` }

// entries finds the keys of a mapping in the text.
func (e *editor) entries(m *yaml.Node) ([]entry, error) {
	var out []entry
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := m.Content[i], m.Content[i+1]
		from, err := e.text.pos(k)
		if err != nil {
			return nil, err
		}
		to, err := e.text.end(v, k.Column-1)
		if err != nil {
			return nil, err
		}
		out = append(out, entry{key: k, value: v, from: from, to: to})
	}
	return out, nil
}

// setExisting replaces the values of keys that are there, marks those that go, and returns the keys that are still to be added.
func (e *editor) setExisting(list []entry, values annotate.Values) ([]string, error) {
	missing := added(values)
	for i := range list {
		v, ours := values[list[i].key.Value]
		if !ours {
			continue
		}
		if v == nil {
			list[i].gone = true
			continue
		}
		missing = slices.DeleteFunc(missing, func(k string) bool { return k == list[i].key.Value })
		at, err := e.text.pos(list[i].value)
		if err != nil {
			return nil, err
		}
		with := quote(*v)
		if list[i].value.Style&yaml.SingleQuotedStyle != 0 {
			with = "'" + *v + "'"
		}
		if at == list[i].to && e.text.raw[at-1] == ':' { // no value at all
			with = " " + with
		}
		e.text.replace(at, list[i].to, with)
	}
	return missing, nil
}

// editBlock edits annotations that are each on separate lines.
func (e *editor) editBlock(meta, ann *yaml.Node, values annotate.Values) error {
	list, err := e.entries(ann)
	if err != nil {
		return err
	}
	missing, err := e.setExisting(list, values)
	if err != nil {
		return err
	}
	last := -1 // the last that stays
	for i, x := range list {
		if !e.text.alone(x.from) || !e.text.restBlank(x.to) {
			return errWhere
		}
		if !x.gone {
			last = i
		}
	}
	indent := strings.Repeat(" ", list[0].key.Column-1)
	if last < 0 && len(missing) > 0 { // the new ones take the place of the first
		nl := e.text.newline(list[0].from)
		e.text.replace(list[0].from, list[0].to, blockEntries(values, missing, nl+indent))
		list = list[1:]
	} else if len(missing) > 0 {
		end, _ := e.text.lineEnd(list[last].to)
		nl := e.text.newline(list[last].to)
		e.text.replace(end, end, nl+indent+blockEntries(values, missing, nl+indent))
	} else if last < 0 { // none is left: the key goes too
		key := keyOf(meta, "annotations")
		from, err := e.text.pos(key)
		if err != nil {
			return err
		}
		if !e.text.alone(from) { // metadata in flow style, or the first key of a list's item
			return errWhere
		}
		e.removeLines(from, from)
	}
	for _, x := range list {
		if x.gone {
			e.removeLines(x.from, x.to)
		}
	}
	return nil
}

func keyOf(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i]
		}
	}
	return nil
}

func blockEntries(values annotate.Values, keys []string, sep string) string {
	return flowEntries(values, keys, false, sep)
}

// removeLines removes the lines from one offset to another.
func (e *editor) removeLines(from, to int) {
	_, next := e.text.lineEnd(to)
	e.text.replace(e.text.lineOf(from), next, "")
}

// editFlow edits annotations such as {a: b}.
func (e *editor) editFlow(meta, ann *yaml.Node, values annotate.Values, json bool) error {
	list, err := e.entries(ann)
	if err != nil {
		return err
	}
	missing, err := e.setExisting(list, values)
	if err != nil {
		return err
	}
	insert := flowEntries(values, missing, json, ", ")
	if len(list) == 0 {
		at, err := e.text.pos(ann)
		if err != nil || e.text.raw[at] != '{' {
			return errWhere
		}
		e.text.replace(at+1, at+1, insert)
		return nil
	}
	last := -1
	for i, x := range list {
		if !x.gone {
			last = i
		}
	}
	if last < 0 && len(missing) == 0 {
		if done, err := e.removeFlow(meta); done || err != nil {
			return err
		}
	}
	if last >= 0 && len(missing) > 0 {
		e.text.replace(list[last].to, list[last].to, e.flowSeparator(list[last], json)+flowEntries(values, missing, json, e.flowSeparator(list[last], json)))
	}
	for i := 0; i < len(list); i++ {
		if !list[i].gone {
			continue
		}
		j := i
		for j+1 < len(list) && list[j+1].gone {
			j++
		}
		switch {
		case last < 0:
			e.text.replace(list[0].from, list[j].to, insert)
		case j+1 < len(list):
			e.text.replace(list[i].from, list[j+1].from, "")
		default:
			e.text.replace(list[i-1].to, list[j].to, "")
		}
		i = j
	}
	return nil
}

// removeFlow removes annotations of which none is left where addAnnotations would have written them: as the last of metadata in flow style.
// Elsewhere somebody else wrote the mapping, and it stays, empty.
func (e *editor) removeFlow(meta *yaml.Node) (done bool, err error) {
	if meta.Style&yaml.FlowStyle == 0 {
		return false, nil
	}
	list, err := e.entries(meta)
	n := len(list) - 1
	if err != nil || n < 1 || list[n].key.Value != "annotations" {
		return false, err
	}
	if from, to := list[n-1].to, list[n].to; !bytes.ContainsRune(e.text.raw[from:to], '#') { // a comment is not ours
		e.text.replace(from, to, "")
		return true, nil
	}
	return false, nil
}

// flowSeparator returns the text between an entry and the next: a line break if the entry has its own line.
func (e *editor) flowSeparator(x entry, json bool) string {
	if e.text.alone(x.from) && json {
		return "," + e.text.newline(x.from) + strings.Repeat(" ", x.key.Column-1)
	}
	return ", "
}
