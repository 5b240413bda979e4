package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

const (
	draft = "https://json-schema.org/draft/2020-12/schema"
	where = "https://raw.githubusercontent.com/kubectl-mesh/kubectl-mesh/main/pkg/apis/v1alpha1/schema/"
)

// node is a schema. Its fields are those of JSON Schema that our documents need.
type node struct {
	Schema               string           `json:"$schema,omitempty"`
	ID                   string           `json:"$id,omitempty"`
	Title                string           `json:"title,omitempty"`
	Description          string           `json:"description,omitempty"`
	Ref                  string           `json:"$ref,omitempty"`
	Type                 any              `json:"type,omitempty"` // a name, or a name and "null"
	Const                string           `json:"const,omitempty"`
	Format               string           `json:"format,omitempty"`
	Items                *node            `json:"items,omitempty"`
	AdditionalProperties *node            `json:"additionalProperties,omitempty"` // of a map
	Properties           properties       `json:"properties,omitempty"`
	Required             []string         `json:"required,omitempty"`
	Defs                 map[string]*node `json:"$defs,omitempty"`
}

// property is a field of an object.
type property struct {
	name string
	node *node
}

// properties are the fields of an object in the order of the Go type, which is that of the documents.
type properties []property

// MarshalJSON prints an object.
func (p properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := encode(one.node)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", one.name, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// generator makes the schema of one kind.
type generator struct {
	comments *comments
	defs     map[string]*node
	errs     []error
}

// generate returns the schemas by kind.
func generate(c *comments) (map[string]*node, error) {
	out := map[string]*node{}
	var errs []error
	for _, k := range kinds {
		t := reflect.TypeOf(k)
		g := &generator{comments: c, defs: map[string]*node{}}
		n := g.object(t)
		n.Schema, n.ID, n.Title = draft, where+t.Name()+".json", t.Name()
		n.Defs = g.defs
		for _, p := range n.Properties {
			switch {
			case c.isDocument(t.Name()) && p.name == "kind":
				p.node.Const = t.Name()
			case c.isDocument(t.Name()) && p.name == "apiVersion":
				p.node.Const = v1alpha1.APIVersion
			}
		}
		out[t.Name()] = n
		errs = append(errs, g.errs...)
	}
	for name := range c.types {
		if c.isDocument(name) && out[name] == nil {
			errs = append(errs, fmt.Errorf("%s is a document, and is not listed in kinds.go", name))
		}
	}
	return out, errors.Join(errs...)
}

// object returns the schema of a struct.
func (g *generator) object(t reflect.Type) *node {
	own := map[string]string{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			own[f.Name] = name
		}
	}
	n := &node{Type: "object", Description: g.comments.describe(g.comments.types[t.Name()], own)}
	g.addFields(n, t, own, true)
	return n
}

// addFields adds the fields of a struct, with those of the structs that it embeds. They are never required if the struct is embedded as a pointer.
func (g *generator) addFields(n *node, t reflect.Type, own map[string]string, required bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			embedded, always := f.Type, required
			if embedded.Kind() == reflect.Pointer {
				embedded, always = embedded.Elem(), false
			}
			g.addFields(n, embedded, own, always)
			continue
		}
		text, err := g.comments.field(t.Name(), f.Name)
		if err != nil {
			g.errs = append(g.errs, err)
		}
		optional := strings.Contains(options, "omitempty")
		value := g.value(f.Type, optional)
		value.Description = g.comments.describe(text, own)
		n.Properties = append(n.Properties, property{name, value})
		if required && !optional {
			n.Required = append(n.Required, name)
		}
	}
}

// value returns the schema of a value. A pointer may be null, unless its field is absent then.
func (g *generator) value(t reflect.Type, absent bool) *node {
	if t == reflect.TypeFor[time.Time]() {
		return &node{Type: "string", Format: "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		n := g.value(t.Elem(), false)
		if !absent {
			n.Type = []any{n.Type, "null"}
		}
		return n
	case reflect.Struct:
		if g.defs[t.Name()] == nil {
			g.defs[t.Name()] = &node{} // ends a recursion
			*g.defs[t.Name()] = *g.object(t)
		}
		return &node{Ref: "#/$defs/" + t.Name()}
	case reflect.Slice:
		return &node{Type: "array", Items: g.value(t.Elem(), true)}
	case reflect.Map:
		return &node{Type: "object", AdditionalProperties: g.value(t.Elem(), false)}
	case reflect.String:
		return &node{Type: "string"}
	case reflect.Bool:
		return &node{Type: "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32:
		return &node{Type: "integer"}
	case reflect.Float64:
		return &node{Type: "number"}
	}
	g.errs = append(g.errs, fmt.Errorf("no schema for values of type %s", t))
	return &node{}
}

// encode prints JSON without the escapes of HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// file returns a schema as it is in the repository.
func file(n *node) ([]byte, error) {
	raw, err := encode(n)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", " "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
