package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1/schema"
)

const root = "../../.."

// TestUpToDate: the schemas in the repository are those of the Go types.
func TestUpToDate(t *testing.T) {
	t.Parallel()
	want, err := render(root)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(root, schemasDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	for _, path := range paths {
		if got[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); d != "" {
		t.Errorf("run make schema: %s", d)
	}
	for name := range want {
		if d := cmp.Diff(string(want[name]), string(got[name])); d != "" && got[name] != nil {
			t.Errorf("%s is not up to date; run make schema\n%s", name, d)
		}
	}
}

// TestSets: each plugin has its schemas, and they are schemas of the draft.
func TestSets(t *testing.T) {
	t.Parallel()
	want, err := render(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []schema.Set{schema.MeshSvc(), schema.MeshCA(), schema.MeshProbe()} {
		for _, kind := range set.Kinds() {
			raw, err := set.Of(kind)
			if err != nil {
				t.Fatal(err)
			}
			if want[kind+".json"] == nil {
				t.Errorf("%s is in two sets, or no kind", kind)
			}
			delete(want, kind+".json")
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			c := jsonschema.NewCompiler()
			if err := c.AddResource("x", doc); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Compile("x"); err != nil {
				t.Error(err)
			}
			if s, err := set.Summary(kind); err != nil || s == "" || len(s) > 200 || strings.Contains(s, "\n") {
				t.Errorf("%s: summary %q, %v", kind, s, err)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no plugin has %v", slices.Sorted(maps.Keys(want)))
	}
}

// TestReleased: what was released has not changed.
func TestReleased(t *testing.T) {
	t.Parallel()
	released, err := readReleased(root)
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := schemasOf(root)
	if err != nil {
		t.Fatal(err)
	}
	if lines := broken(released, fieldsOf(schemas), false); len(lines) > 0 {
		t.Errorf("scripts rely on released fields; docs/documents.md says what may change:\n%s", strings.Join(lines, "\n"))
	}
	if len(released["ServiceReport"]) < 50 {
		t.Errorf("%s has %d fields of ServiceReport", releasedFile, len(released["ServiceReport"]))
	}
}

// TestPage: the page about documents lists every kind.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "documents.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []schema.Set{schema.MeshSvc(), schema.MeshCA(), schema.MeshProbe()} {
		for _, kind := range set.Kinds() {
			if row := "\n| [" + kind + "](../" + schemasDir + "/" + kind + ".json) | "; !strings.Contains(string(page), row) {
				t.Errorf("no row %q", row)
			}
		}
	}
}

// described is a document of the test.
func described() map[string]*node {
	word := func(description string) *node { return &node{Type: "string", Description: description} }
	return map[string]*node{
		"Other": {Type: "object", Properties: properties{{"x", word("x is a word")}}},
		"Third": {Type: "object"},
		"List": {
			Type:     "object",
			Required: []string{"items"},
			Properties: properties{
				{"items", &node{Type: "array", Items: &node{Ref: "#/$defs/Item"}, Description: "items are the items"}},
				{"time", &node{Type: "string", Format: "date-time", Description: "time is a time"}},
				{"counts", &node{Type: "object", AdditionalProperties: &node{Type: []any{"integer", "null"}}, Description: "counts are by name"}},
				{"other", &node{Ref: "#/$defs/Other", Description: "other is another document"}},
			},
			Defs: map[string]*node{"Item": {Type: "object", Required: []string{"name"}, Properties: properties{{"name", word("name is a name")}}}},
		},
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for path, f := range fieldsOf(described())["List"] {
		got[path] = f.Type
	}
	want := map[string]string{".items": "array of object", ".items[].name": "string", ".time": "string date-time?", ".counts": "map of integer|null?", ".other": "Other?"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	items := func(s map[string]*node) *node { return s["List"].Defs["Item"] }
	tests := map[string]struct {
		change   func(map[string]*node)
		reworded bool
		want     string
	}{
		"nothing": {change: func(map[string]*node) {}},
		"a new field": {change: func(s map[string]*node) {
			s["List"].Properties = append(s["List"].Properties, property{"new", &node{Type: "string"}})
		}},
		"a new kind":        {change: func(s map[string]*node) { s["New"] = &node{} }},
		"another name":      {change: func(s map[string]*node) { items(s).Properties[0].name = "title" }, want: "List .items[].name was released and does not exist any more"},
		"another type":      {change: func(s map[string]*node) { items(s).Properties[0].node.Type = "integer" }, want: `List .items[].name was released as "string" and is now "integer"`},
		"another format":    {change: func(s map[string]*node) { s["List"].Properties[1].node.Format = "" }, want: `List .time was released as "string date-time?" and is now "string?"`},
		"absent at times":   {change: func(s map[string]*node) { items(s).Required = nil }, want: `List .items[].name was released as "string" and is now "string?"`},
		"null at times":     {change: func(s map[string]*node) { items(s).Properties[0].node.Type = []any{"string", "null"} }, want: `and is now "string|null"`},
		"another meaning":   {change: func(s map[string]*node) { items(s).Properties[0].node.Description = "name is an id" }, want: "List .items[].name has another description than in the release"},
		"other words":       {change: func(s map[string]*node) { items(s).Properties[0].node.Description = "name is the name" }, reworded: true},
		"a kind is removed": {change: func(s map[string]*node) { delete(s, "Third") }, want: "Third was released and does not exist any more"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := described()
			tc.change(now)
			got := broken(fieldsOf(described()), fieldsOf(now), tc.reworded)
			if tc.want == "" && len(got) > 0 || tc.want != "" && (len(got) == 0 || !strings.HasSuffix(got[len(got)-1], tc.want) && !strings.HasSuffix(got[0], tc.want)) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	c := &comments{types: map[string]string{"ProbeError": "ProbeError is an error."}, names: map[string]string{"RestoreTime": "restoreTime", "ProbeError": "probeError"}}
	own := map[string]string{"Service": "service", "CA": "ca", "CAMessage": "caMessage", "Object": "object", "A": "a", "B": "b", "URL": "url", "Cluster": "cluster"}
	for text, want := range map[string]string{
		"Service is NAMESPACE/NAME of the Service.":             "service is NAMESPACE/NAME of the Service.",
		"CA is absent if the CA cannot be read; CAMessage says": "ca is absent if the CA cannot be read; caMessage says",
		"Cluster is the cluster of Object, since RestoreTime.":  "cluster is the cluster of object, since restoreTime.",
		"Change is B - A. Class is that of ProbeError.":         "Change is b - a. Class is that of ProbeError.",
		"It is absent if there is only one URL.":                "It is absent if there is only one URL.",
	} {
		if got := c.describe(text, own); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
