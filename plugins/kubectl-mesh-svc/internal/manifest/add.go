package manifest

import (
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
)

// addAnnotations writes annotations where a Service has none.
func (e *editor) addAnnotations(n, meta, ann *yaml.Node, values annotate.Values, json bool) error {
	keys := added(values)
	if len(keys) == 0 {
		return nil // only removals, of what is not there
	}
	if ann != nil { // annotations: null, or nothing behind the colon
		at, err := e.text.pos(ann)
		if err != nil {
			return err
		}
		to, err := e.text.expect(at, ann.Value)
		if err != nil {
			return err
		}
		if ann.Value == "" { // the parser puts it somewhere behind the key
			k := keyOf(meta, "annotations")
			if _, err = e.text.pos(k); err != nil {
				return err
			}
			if at, err = e.text.end(k, 0); err != nil {
				return err
			}
			colon := strings.IndexByte(string(e.text.raw[at:]), ':')
			if colon < 0 {
				return errWhere
			}
			at += colon + 1
			e.text.replace(at, at, " {"+flowEntries(values, keys, json, ", ")+"}")
			return nil
		}
		e.text.replace(at, to, "{"+flowEntries(values, keys, json, ", ")+"}")
		return nil
	}
	if meta.Style&yaml.FlowStyle != 0 {
		list, err := e.entries(meta)
		if err != nil {
			return err
		}
		last, key := list[len(list)-1], "annotations"
		if json {
			key = quote(key)
		}
		e.text.replace(last.to, last.to, e.flowSeparator(last, json)+key+": {"+flowEntries(values, keys, json, ", ")+"}")
		return nil
	}
	return e.addBlock(n, meta, values, keys)
}

// addBlock writes annotations behind labels, namespace or name, whichever comes last in the order in which people write them.
func (e *editor) addBlock(n, meta *yaml.Node, values annotate.Values, keys []string) error {
	for _, behind := range []string{"labels", "namespace", "name"} {
		key, value := keyOf(meta, behind), get(meta, behind)
		if value == nil || null(value) {
			continue
		}
		to, err := e.text.end(value, key.Column-1)
		if err != nil || !e.text.restBlank(to) {
			continue
		}
		parent := keyOf(n, "metadata").Column
		step := strings.Repeat(" ", max(key.Column-parent, 1))
		indent := strings.Repeat(" ", key.Column-1)
		end, _ := e.text.lineEnd(to)
		nl := e.text.newline(to)
		e.text.replace(end, end, nl+indent+"annotations:"+nl+indent+step+blockEntries(values, keys, nl+indent+step))
		return nil
	}
	return errWhere
}
