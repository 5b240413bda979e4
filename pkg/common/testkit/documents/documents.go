// Package documents holds what commands print to the JSON Schemas of our documents. Only tests import it.
package documents

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1/schema"
)

// files are kinds with our API version that only our own commands read.
var files = []string{"UndoRecord"}

// Check fails the test for each document in a text, such as the standard output of a command, that its schema does not describe. A field without
// a schema is an error. It looks at JSON objects that begin a line, at YAML, at the lines of -o jsonl and at those of a record, and leaves out the rest.
func Check(t testing.TB, text string) {
	t.Helper()
	for _, err := range Errors(text) {
		t.Error(err)
	}
}

// CheckValue is Check for a document that a test has as a Go value.
func CheckValue(t testing.TB, doc any) {
	t.Helper()
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	Check(t, string(raw))
}

// Errors returns one error for each document in a text that its schema does not describe.
func Errors(text string) []error {
	var errs []error
	if line := "apiVersion: " + v1alpha1.APIVersion; strings.Contains("\n"+text+"\n", "\n"+line+"\n") {
		for doc := range strings.SplitSeq(text, "\n---\n") {
			if raw, err := yaml.YAMLToJSON([]byte(doc)); err != nil {
				errs = append(errs, fmt.Errorf("a document is not YAML: %w", err))
			} else if err := validate(raw); err != nil {
				errs = append(errs, err)
			}
		}
		return errs
	}
	for text != "" {
		if !strings.HasPrefix(text, "{") {
			_, text, _ = strings.Cut(text, "\n")
			continue
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		var raw json.RawMessage
		if decoder.Decode(&raw) != nil { // no JSON, or cut off
			_, text, _ = strings.Cut(text, "\n")
			continue
		}
		if err := validate(raw); err != nil {
			errs = append(errs, err)
		}
		text = strings.TrimLeft(text[decoder.InputOffset():], "\n")
	}
	return errs
}

// validate checks one JSON value. Other values than documents are valid.
func validate(raw []byte) error {
	kind := kindOf(raw)
	if kind == "" || slices.Contains(files, kind) {
		return nil
	}
	all, err := compiled()
	if err != nil {
		return err
	}
	s := all[kind]
	if s == nil {
		return fmt.Errorf("a document of kind %q, which has no schema", kind)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if err := s.Validate(value); err != nil {
		return fmt.Errorf("a document of kind %s is not as its schema says (make schema writes the schemas): %w\n%.2000s", kind, err, raw)
	}
	return nil
}

// kindOf returns the kind of a document, or "" if the value is not a document of this project.
func kindOf(raw []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return ""
	}
	has := func(name string) bool { return fields[name] != nil }
	var version, kind string
	_, _ = json.Unmarshal(fields["apiVersion"], &version), json.Unmarshal(fields["kind"], &kind)
	switch {
	case version == v1alpha1.APIVersion:
		return kind
	case has("client") && has("startTime"):
		return "ProbeRequest"
	case len(fields) == 1 && (has("header") || has("request") || has("attribution") || has("mark") || has("trailer")):
		return "ProbeRecordLine"
	}
	return ""
}

// compiled returns the schemas by kind. They are strict: a field that they do not have is an error.
var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	out := map[string]*jsonschema.Schema{}
	var errs []error
	for _, set := range []schema.Set{schema.MeshSvc(), schema.MeshCA(), schema.MeshProbe()} {
		for _, kind := range set.Kinds() {
			raw, err := set.Of(kind)
			errs = append(errs, err)
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
			errs = append(errs, err)
			strict(doc)
			errs = append(errs, compiler.AddResource("urn:kind:"+kind, doc))
			out[kind], err = compiler.Compile("urn:kind:" + kind)
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
})

// strict forbids fields that a schema does not have, in all objects that have a list of fields.
func strict(value any) {
	switch v := value.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, sub := range v {
			strict(sub)
		}
	case []any:
		for _, sub := range v {
			strict(sub)
		}
	}
}
