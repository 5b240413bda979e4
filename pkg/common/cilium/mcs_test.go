package cilium

import "testing"

func TestDerivedService(t *testing.T) {
	t.Parallel()
	imported := func(name string) map[string]string { return map[string]string{LabelImportedService: name} }
	for name, c := range map[string]struct {
		namespace, name string
		labels          map[string]string
		want            bool
	}{
		"derived":                   {"default", "derived-9jo8ljlgl7", imported("full"), true}, // the name in Cilium's own tests
		"in another namespace":      {"shop", "derived-isrlchlhrq", imported("web"), true},
		"of another ServiceImport":  {"default", "derived-9jo8ljlgl7", imported("web"), false},
		"of another namespace":      {"shop", "derived-9jo8ljlgl7", imported("full"), false},
		"without the label":         {"default", "derived-9jo8ljlgl7", nil, false},
		"ten characters of a word":  {"default", "derived-production", nil, false},
		"the label was copied":      {"default", "derived-data", imported("full"), false},
		"the label on another name": {"default", "full", imported("full"), false},
		"the label without a value": {"default", "derived-9jo8ljlgl7", imported(""), false},
		"an ordinary Service":       {"default", "full", nil, false},
	} {
		if got := DerivedService(c.namespace, c.name, c.labels); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
