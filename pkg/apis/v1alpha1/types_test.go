package v1alpha1

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// documents are all kinds that -o json prints.
var documents = map[string]any{
	"CABackupReport":     CABackupReport{},
	"CAChangeReport":     CAChangeReport{},
	"CACheckReport":      CACheckReport{},
	"CAReport":           CAReport{},
	"ChangeReport":       ChangeReport{},
	"ClusterList":        ClusterList{},
	"DrainReport":        DrainReport{},
	"DrillReport":        DrillReport{},
	"FederationReport":   FederationReport{},
	"FindingList":        FindingList{},
	"CABackupList":       CABackupList{},
	"MeshGraph":          MeshGraph{},
	"ProbeCleanupReport": ProbeCleanupReport{},
	"ProbeComparison":    ProbeComparison{},
	"ProbeReport":        ProbeReport{},
	"RotationReport":     RotationReport{},
	"ServiceList":        ServiceList{},
	"ServiceReport":      ServiceReport{},
}

// TestFieldDFindingsAlwaysPresent: a script may count on .findings in every document, and on a list.
func TestFieldDFindingsAlwaysPresent(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff(embedding(t, "Document"), slices.Sorted(maps.Keys(documents))); d != "" {
		t.Errorf("not all documents are looked at: %s", d)
	}
	for kind, doc := range documents {
		raw, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if list, ok := got["findings"].([]any); !ok || len(list) != 0 {
			t.Errorf("%s: findings is %v in %s", kind, got["findings"], raw)
		}
	}
	raw, err := json.Marshal(CAReport{Document: Document{Findings: []Finding{{ID: "CA001"}}}})
	if err != nil || !strings.Contains(string(raw), `"findings":[{"id":"CA001"`) {
		t.Errorf("%s, %v", raw, err)
	}
}

// embedding returns the types of this package that embed a type, directly or through another one.
func embedding(t *testing.T, name string) []string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	embeds := map[string][]string{} // by embedded type
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					if id, ok := f.Type.(*ast.Ident); ok && len(f.Names) == 0 {
						embeds[id.Name] = append(embeds[id.Name], spec.Name.Name)
					}
				}
			}
			return true
		})
	}
	var out []string
	for _, e := range embeds[name] {
		out = append(append(out, e), embedding(t, e)...)
	}
	slices.Sort(out)
	return out
}
