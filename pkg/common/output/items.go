package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/client-go/util/jsonpath"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// customColumns is the prefix of a format with custom columns, as in kubectl get.
const customColumns = "custom-columns="

// WithItems offers -o custom-columns= and --sort-by for the objects in this field of the document.
func (f *Flags) WithItems(field string) *Flags {
	f.items = field
	return f
}

// IsList reports whether a list is printed as a table or line by line, where "nothing found" is a separate message.
func (f *Flags) IsList() bool { return f.IsTable() || f.IsName() || f.isCustom() }

func (f *Flags) isCustom() bool {
	return f.items != "" && strings.HasPrefix(f.Format, customColumns)
}

// userColumn is one column of -o custom-columns=.
type userColumn struct {
	header string
	path   *jsonpath.JSONPath
}

// userColumns parses HEADER:PATH,... with kubectl's messages.
func (f *Flags) userColumns() ([]userColumn, error) {
	spec := strings.TrimPrefix(f.Format, customColumns)
	if spec == "" {
		return nil, errors.New("custom-columns format specified but no custom columns given")
	}
	var out []userColumn
	for part := range strings.SplitSeq(spec, ",") {
		header, path, ok := strings.Cut(part, ":")
		if !ok || header == "" || path == "" {
			return nil, fmt.Errorf("unexpected custom-columns spec: %s, expected <header>:<json-path-expr>", part)
		}
		p, err := parsePath(path)
		if err != nil {
			return nil, err
		}
		out = append(out, userColumn{header, p})
	}
	return out, nil
}

// relaxedPath accepts {.a}, {a}, .a and a, as kubectl does.
var relaxedPath = regexp.MustCompile(`^\{\.?([^{}]+)\}$|^\.?([^{}]+)$`)

func parsePath(text string) (*jsonpath.JSONPath, error) {
	m := relaxedPath.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'")
	}
	p := jsonpath.New("path").AllowMissingKeys(true)
	if err := p.Parse("{." + m[1] + m[2] + "}"); err != nil {
		return nil, err
	}
	return p, nil
}

// values evaluates a path on an object.
func values(p *jsonpath.JSONPath, object any) ([]any, error) {
	found, err := p.FindResults(object)
	if err != nil {
		return nil, err
	}
	var out []any
	for _, list := range found {
		for _, v := range list {
			if v.IsValid() && v.CanInterface() {
				out = append(out, v.Interface())
			}
		}
	}
	return out, nil
}

// object is a value as scripts see it. Name and namespace are also in metadata, where users of kubectl look for them.
func object(item any) (map[string]any, error) {
	raw, err := json.Marshal(item)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if err := utiljson.Unmarshal(raw, &out); err != nil {
		return nil, err
	}
	if _, there := out["metadata"]; !there {
		meta := map[string]any{}
		for _, key := range []string{"name", "namespace"} {
			if v, ok := out[key]; ok {
				meta[key] = v
			}
		}
		out["metadata"] = meta
	}
	return out, nil
}

// printCustom prints the items of a document in the user's columns, each in one line.
func (f *Flags) printCustom(out *bytes.Buffer, doc any) error {
	columns, err := f.userColumns()
	if err != nil {
		return err
	}
	whole, err := object(doc)
	if err != nil {
		return err
	}
	t := NewTable()
	for _, c := range columns {
		t.ColumnDefinitions = append(t.ColumnDefinitions, NewTable(c.header).ColumnDefinitions...)
		t.ColumnDefinitions[len(t.ColumnDefinitions)-1].Name = c.header
	}
	items, _ := whole[f.items].([]any)
	for _, item := range items {
		o, err := object(item)
		if err != nil {
			return err
		}
		row := make([]string, len(columns))
		for i, c := range columns {
			found, err := values(c.path, o)
			if err != nil {
				return err
			}
			texts := make([]string, len(found))
			for n, v := range found {
				texts[n] = fmt.Sprint(v)
			}
			row[i] = strings.Join(texts, ",")
		}
		AddRow(t, row...)
	}
	layout{headers: !f.NoHeaders, wide: true, verbatim: true}.print(out, t)
	return nil
}

// Sort sorts the items of a document by --sort-by: numbers by value, everything else as text; an item without the field comes first.
func Sort[T any](f *Flags, items []T) error {
	if f.SortBy == "" {
		return nil
	}
	p, err := parsePath(f.SortBy)
	if err != nil {
		return fmt.Errorf("--sort-by: %w", err)
	}
	type keyed struct {
		item T
		key  any
	}
	list, found := make([]keyed, len(items)), false
	for i, item := range items {
		o, err := object(item)
		if err != nil {
			return err
		}
		vs, err := values(p, o)
		if err != nil {
			return fmt.Errorf("--sort-by: %w", err)
		}
		list[i].item = item
		if len(vs) > 0 {
			list[i].key, found = vs[0], true
		}
	}
	if len(items) > 0 && !found {
		return fmt.Errorf("--sort-by: couldn't find any field with path %q in the list of objects", f.SortBy)
	}
	slices.SortStableFunc(list, func(a, b keyed) int { return compare(a.key, b.key) })
	for i := range list {
		items[i] = list[i].item
	}
	return nil
}

// compare orders two values of a document.
func compare(a, b any) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	s, t := fmt.Sprint(a), fmt.Sprint(b)
	x, errX := strconv.ParseFloat(s, 64)
	y, errY := strconv.ParseFloat(t, 64)
	if errX != nil || errY != nil {
		return strings.Compare(s, t)
	}
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}
