package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// releasedFile has the fields of the last release.
const releasedFile = "test/cmd/schema/testdata/released.json"

// field is a field of a document: what a script relies on.
type field struct {
	// Type is the JSON type, with the format of a string. "?" says that the field may be absent, "|null" that it may be null.
	Type string
	// Meaning is a hash of the description.
	Meaning string
}

// MarshalText writes a field as one text, so that the file has one line for each.
func (f field) MarshalText() ([]byte, error) { return []byte(f.Type + " " + f.Meaning), nil }

// UnmarshalText reads what MarshalText wrote.
func (f *field) UnmarshalText(text []byte) error {
	i := strings.LastIndex(string(text), " ")
	if i < 0 {
		return fmt.Errorf("%q is not a type and a hash", text)
	}
	f.Type, f.Meaning = string(text[:i]), string(text[i+1:])
	return nil
}

// fields are those of all documents, by kind and by path as jq writes it: .clusters[].name. The values of a map have the path .answers{}.
type fields map[string]map[string]field

// fieldsOf lists the fields of documents.
func fieldsOf(schemas map[string]*node) fields {
	out := fields{}
	for kind, n := range schemas {
		out[kind] = map[string]field{}
		w := walker{schemas: schemas, defs: n.Defs, out: out[kind]}
		w.object("", n)
	}
	return out
}

type walker struct {
	schemas map[string]*node
	defs    map[string]*node
	out     map[string]field
}

func (w *walker) object(path string, n *node) {
	for _, p := range n.Properties {
		at := path + "." + p.name
		optional := ""
		if !slices.Contains(n.Required, p.name) {
			optional = "?"
		}
		w.out[at] = field{Type: w.typeOf(p.node) + optional, Meaning: fmt.Sprintf("%.4x", sha256.Sum256([]byte(p.node.Description)))}
		w.value(at, p.node)
	}
}

// value adds the fields below a value. A document in a document has its own entry.
func (w *walker) value(path string, n *node) {
	switch {
	case n.Items != nil:
		w.value(path+"[]", n.Items)
	case n.AdditionalProperties != nil:
		w.value(path+"{}", n.AdditionalProperties)
	case n.Ref != "":
		if name := nameOf(n.Ref); w.schemas[name] == nil {
			w.object(path, w.defs[name])
		}
	}
}

// typeOf describes the type of a value.
func (w *walker) typeOf(n *node) string {
	switch {
	case n.Ref != "" && w.schemas[nameOf(n.Ref)] != nil:
		return nameOf(n.Ref)
	case n.Ref != "":
		return "object"
	case n.Items != nil:
		return "array of " + w.typeOf(n.Items)
	case n.AdditionalProperties != nil:
		return "map of " + w.typeOf(n.AdditionalProperties)
	}
	names, ok := n.Type.([]any)
	if !ok {
		names = []any{n.Type}
	}
	var out []string
	for _, t := range names {
		out = append(out, strings.TrimSuffix(fmt.Sprint(t, " ", n.Format), " "))
	}
	return strings.Join(out, "|")
}

func nameOf(ref string) string { return strings.TrimPrefix(ref, "#/$defs/") }

// broken says what released fields have become: one line for each that no longer has its name, type or meaning. reworded allows new descriptions.
func broken(released, now fields, reworded bool) []string {
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(released)) {
		if now[kind] == nil {
			out = append(out, fmt.Sprintf("%s was released and does not exist any more", kind))
			continue
		}
		for _, path := range slices.Sorted(maps.Keys(released[kind])) {
			was := released[kind][path]
			is, ok := now[kind][path]
			switch {
			case !ok:
				out = append(out, fmt.Sprintf("%s %s was released and does not exist any more", kind, path))
			case is.Type != was.Type:
				out = append(out, fmt.Sprintf("%s %s was released as %q and is now %q", kind, path, was.Type, is.Type))
			case is.Meaning != was.Meaning && !reworded:
				out = append(out, fmt.Sprintf("%s %s has another description than in the release", kind, path))
			}
		}
	}
	return out
}

// readReleased returns the fields of the last release.
func readReleased(root string) (fields, error) {
	raw, err := os.ReadFile(filepath.Join(root, releasedFile))
	if err != nil {
		return nil, err
	}
	out := fields{}
	return out, json.Unmarshal(raw, &out)
}

// record writes the present fields as those of a release. It refuses if a field of the previous release has changed.
func record(root string, reworded bool) error {
	schemas, err := schemasOf(root)
	if err != nil {
		return err
	}
	now := fieldsOf(schemas)
	released, err := readReleased(root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if lines := broken(released, now, reworded); len(lines) > 0 {
		return fmt.Errorf("released fields have changed; docs/documents.md says what is allowed:\n%s", strings.Join(lines, "\n"))
	}
	raw, err := json.MarshalIndent(now, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(root, releasedFile)), 0o755); err != nil { //nolint:gosec // a directory of this repository
		return err
	}
	return os.WriteFile(filepath.Join(root, releasedFile), append(raw, '\n'), 0o644) //nolint:gosec // a source file that everybody may read
}
