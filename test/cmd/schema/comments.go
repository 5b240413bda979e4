package main

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// comments are the comments of a Go package.
type comments struct {
	types  map[string]string
	fields map[string]map[string]string // by type and Go name of the field
	embeds map[string][]string          // the types that each type embeds
	names  map[string]string            // JSON names by Go name, of fields with the same JSON name in all types
}

// readComments reads the comments of the Go files in a directory.
func readComments(dir string) (*comments, error) {
	c := &comments{types: map[string]string{}, fields: map[string]map[string]string{}, embeds: map[string][]string{}, names: map[string]string{}}
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(set, path, raw, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	pkg, err := doc.NewFromFiles(set, files, "v1alpha1", doc.PreserveAST)
	if err != nil {
		return nil, err
	}
	for _, t := range pkg.Types {
		c.types[t.Name] = oneLine(t.Doc)
		spec, _ := t.Decl.Specs[0].(*ast.TypeSpec)
		if s, ok := spec.Type.(*ast.StructType); ok {
			c.addFields(t.Name, s)
		}
	}
	return c, nil
}

func (c *comments) addFields(name string, s *ast.StructType) {
	c.fields[name] = map[string]string{}
	for _, f := range s.Fields.List {
		if len(f.Names) == 0 {
			if id, ok := f.Type.(*ast.Ident); ok {
				c.embeds[name] = append(c.embeds[name], id.Name)
			}
			continue
		}
		c.fields[name][f.Names[0].Name] = oneLine(f.Doc.Text())
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		c.names[f.Names[0].Name], _, _ = strings.Cut(tag.Get("json"), ",")
	}
}

// isDocument reports whether a type embeds the envelope.
func (c *comments) isDocument(name string) bool {
	return slices.ContainsFunc(c.embeds[name], func(e string) bool { return e == "Document" || c.isDocument(e) })
}

// word is a name as Go spells it, with the word before it.
var word = regexp.MustCompile(`([\w']+ )?\b[A-Z]\w*\b`)

// twoWords is a name of which only a field can be meant.
var twoWords = regexp.MustCompile(`^[A-Z]+[a-z]+[A-Z]`)

// ordinary are words after which a name is an English word.
var ordinary = []string{"the", "a", "an", "one", "each", "several", "only", "The", "A", "An", "Each", "Hubble", "docs"}

// describe returns a comment with the names of fields as the documents spell them. own are those of the type.
func (c *comments) describe(text string, own map[string]string) string {
	return word.ReplaceAllStringFunc(text, func(m string) string {
		before, name, found := strings.Cut(m, " ")
		if !found {
			before, name = "", m
		}
		to, ok := own[name]
		if !ok && twoWords.MatchString(name) && c.types[name] == "" {
			to, ok = c.names[name]
		}
		switch {
		case !ok || slices.Contains(ordinary, before) && !twoWords.MatchString(name):
			return m
		case found:
			return before + " " + to
		}
		return to
	})
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func (c *comments) field(typeName, name string) (string, error) {
	text := c.fields[typeName][name]
	if text == "" {
		return "", fmt.Errorf("%s.%s has no comment", typeName, name)
	}
	return text, nil
}
