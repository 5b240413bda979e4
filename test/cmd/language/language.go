package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
)

// hit is one expression in one line.
type hit struct {
	path  string
	line  int
	text  string
	write string
}

func (h hit) String() string {
	return fmt.Sprintf("%s:%d: %q: write %s", h.path, h.line, h.text, h.write)
}

// check reads every text file and returns the expressions in them, by path and line.
func check(fsys fs.FS) ([]hit, error) {
	var hits []hit
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || p == "bin" || p == "dist" || skips(p)):
			return fs.SkipDir
		case !d.Type().IsRegular() || !isText(p) || skips(p):
			return nil
		}
		data, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		if bytes.IndexByte(data, 0) < 0 {
			hits = append(hits, inText(p, string(data))...)
		}
		if strings.HasSuffix(p, ".go") {
			found, err := inNames(p, data)
			if err != nil {
				return err
			}
			hits = append(hits, found...)
		}
		return nil
	})
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.line, b.line)) })
	return hits, err
}

// isText reports whether a person reads the file.
func isText(p string) bool {
	switch path.Ext(p) {
	case ".go", ".md", ".txtar", ".txt", ".sh", ".yaml", ".yml", ".json", ".golden", ".tpl":
		return true
	}
	return path.Base(p) == "Makefile"
}

// inText returns the expressions of one file.
func inText(p, data string) []hit {
	text, starts := join(data)
	var hits []hit
	for _, e := range expressions {
		allowed := exempt(p, e.name, text)
		for _, m := range e.pattern.FindAllStringIndex(text, -1) {
			if slices.ContainsFunc(allowed, func(a []int) bool { return a[0] <= m[0] && m[1] <= a[1] }) {
				continue
			}
			line := sort.Search(len(starts), func(i int) bool { return starts[i] > m[0] })
			hits = append(hits, hit{p, line, text[m[0]:m[1]], e.write})
		}
	}
	return hits
}

// join makes one line of a file, so that an expression is found across a line break. Indentation, comment marks, and the quotes
// and the plus sign between two halves of a Go string are left out. starts are the offsets at which the lines begin.
func join(data string) (text string, starts []int) {
	var b strings.Builder
	continued := false
	for line := range strings.Lines(data) {
		starts = append(starts, b.Len())
		line = strings.TrimSpace(line)
		for _, mark := range []string{"//", "#", ">"} {
			line = strings.TrimSpace(strings.TrimPrefix(line, mark))
		}
		if continued {
			line = strings.TrimLeft(line, "\"` ")
		}
		half, found := strings.CutSuffix(line, `" +`)
		if continued = found; found {
			line = strings.TrimRight(half, " ")
		}
		b.WriteString(line)
		b.WriteByte(' ')
	}
	return b.String(), starts
}

// inNames returns the declarations of one Go file whose names say too little.
func inNames(p string, data []byte) ([]hit, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, p, data, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var hits []hit
	declared := func(ids ...*ast.Ident) {
		for _, id := range ids {
			if write := names[id.Name]; write != "" {
				hits = append(hits, hit{p, set.Position(id.Pos()).Line, id.Name, write})
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			declared(n.Name)
		case *ast.TypeSpec:
			declared(n.Name)
		case *ast.ValueSpec:
			declared(n.Names...)
		case *ast.Field:
			declared(n.Names...)
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					declared(id)
				}
			}
		}
		return true
	})
	return hits, nil
}
