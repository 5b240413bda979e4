package local

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/files"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/manifest"
)

type source struct {
	name  string
	raw   []byte
	found bool // in a directory; else the user named it
}

// byReason collects names by the reason that they share, in the order in which the reasons were met.
type byReason struct {
	order []string
	names map[string][]string
}

func (b *byReason) add(reason string, names ...string) {
	if b.names == nil {
		b.names = map[string][]string{}
	}
	if b.names[reason] == nil {
		b.order = append(b.order, reason)
	}
	b.names[reason] = append(b.names[reason], names...)
}

func (b *byReason) merge(other byReason) {
	other.each(func(r string, names []string) { b.add(r, names...) })
}

func (b *byReason) each(fn func(reason string, names []string)) {
	for _, r := range b.order {
		fn(r, b.names[r])
	}
}

// unreadable is the kind of what cannot be read at all: a link that leads nowhere, a pipe, a directory without permission.
const unreadable = manifest.ErrorKind(-1)

// skips are the files of directories that are not edited.
type skips struct {
	first  error
	byKind map[manifest.ErrorKind][]string
}

func (s *skips) add(kind manifest.ErrorKind, file string, err error) {
	if s.first == nil {
		s.first = err
	}
	if s.byKind == nil {
		s.byKind = map[manifest.ErrorKind][]string{}
	}
	what := file
	switch kind {
	case unreadable:
		what = fmt.Sprintf("%s (%v)", file, files.Cause(err))
	case manifest.NotYAML:
		what = err.Error()
	}
	s.byKind[kind] = append(s.byKind[kind], what)
}

func (s *skips) count() int {
	n := 0
	for _, files := range s.byKind {
		n += len(files)
	}
	return n
}

// say reports what was skipped, in one line for each kind.
func (s *skips) say(ui UI) {
	for _, kind := range []struct {
		kind     manifest.ErrorKind
		one, all string
	}{
		{manifest.Template, "1 file that is a template", "%d files that are templates"},
		{manifest.NotYAML, "1 file that is not YAML", "%d files that are not YAML"},
		{unreadable, "1 path that cannot be read", "%d paths that cannot be read"},
	} {
		files := s.byKind[kind.kind]
		if len(files) == 0 {
			continue
		}
		what := kind.one
		if len(files) > 1 {
			what = fmt.Sprintf(kind.all, len(files))
		}
		hint := ""
		if kind.kind == manifest.Template {
			hint = "; edit the rendered manifests, or set the annotations in the values"
		}
		ui.Note("skipped %s: %s%s", what, annotate.List(files, 3), hint)
	}
}

// read returns the manifests in the order in which they were named; those of a directory by name.
func (l *editor) read(skipped *skips) ([]source, error) {
	if l.Kustomize != "" {
		built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), l.Kustomize)
		if err != nil {
			return nil, fmt.Errorf("--kustomize: %w", err)
		}
		raw, err := built.AsYaml()
		if err != nil {
			return nil, fmt.Errorf("--kustomize: %w", err)
		}
		return []source{{name: l.Kustomize, raw: raw}}, nil
	}
	var out []source
	for _, name := range l.Files {
		if name == "-" {
			raw, err := io.ReadAll(l.Stdin)
			if err != nil {
				return nil, fmt.Errorf("stdin: %w", err)
			}
			out = append(out, source{name: "stdin", raw: raw})
			continue
		}
		if strings.Contains(name, "://") {
			return nil, fmt.Errorf("--filename %s: only files are edited; download it first", name)
		}
		found, err := l.expand(name, skipped)
		if err != nil {
			return nil, fmt.Errorf("--filename: %w", err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// expand reads the manifests of a directory, or the file itself. What cannot be read in a directory is skipped.
func (l *editor) expand(name string, skipped *skips) ([]source, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		raw, err := os.ReadFile(name)
		return []source{{name: name, raw: raw}}, err
	}
	root := name
	if !os.IsPathSeparator(name[len(name)-1]) {
		root += string(filepath.Separator) // a link to a directory is followed only so
	}
	var out []source
	files := 0
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil && path == root:
			return err
		case err != nil:
			skipped.add(unreadable, path, err)
			return nil
		case d.IsDir() && path != root && !l.Recursive:
			return filepath.SkipDir
		case d.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			return nil
		}
		files++
		raw, err := readRegular(path)
		if err != nil {
			skipped.add(unreadable, path, err)
			return nil
		}
		out = append(out, source{name: path, raw: raw, found: true})
		return nil
	})
	if err == nil && files == 0 && skipped.count() == 0 {
		return nil, fmt.Errorf("%s holds no .yaml, .yml or .json file; --recursive also takes the directories below it", name)
	}
	return out, err
}

// readRegular reads a file or what a link leads to. It does not open pipes and the like: they may wait for ever.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("is not a regular file")}
	}
	return os.ReadFile(path)
}
