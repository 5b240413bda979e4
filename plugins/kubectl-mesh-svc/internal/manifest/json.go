package manifest

import (
	"fmt"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// JSON returns the documents of an edited manifest as JSON; comments have no place there. Empty documents are left out.
func (r *Result) JSON() ([][]byte, error) {
	docs, err := parse("the edited manifest", r.Text)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, d := range docs {
		if len(d.Content) == 0 || null(d.Content[0]) {
			continue
		}
		raw, err := kyaml.Marshal(d)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", d.Line, err)
		}
		doc, err := yaml.YAMLToJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", d.Line, err)
		}
		out = append(out, doc)
	}
	return out, nil
}
