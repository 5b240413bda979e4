// Package local edits manifests instead of clusters: files, directories, stdin, or what a kustomization builds.
package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/manifest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/verb"
)

// Config says which manifests are edited, and how.
type Config struct {
	Files     []string // files or directories; - for Stdin
	Kustomize string   // a directory with a kustomization, instead of Files
	Recursive bool     // also directories below those of Files
	Strict    bool     // refuse a directory with files that cannot be read as manifests
	InPlace   bool     // write the files instead of returning them
	Stdin     io.Reader
	JSON      bool // return JSON, not YAML

	Request verb.Request
}

// UI is how an edit talks to the person who runs it.
type UI interface {
	Say(format string, args ...any)
	Note(format string, args ...any)
}

// editor is one edit on its way.
type editor struct {
	Config
	ui UI
}

// Run edits all manifests before it writes the first. It returns them as one stream, or nothing where the files were written.
func Run(c Config, ui UI) ([]byte, error) {
	l := &editor{c, ui}
	skipped := &skips{}
	sources, err := l.read(skipped)
	if err != nil {
		return nil, err
	}
	edited, err := l.edit(sources, skipped)
	if err != nil {
		return nil, err
	}
	if l.Strict && skipped.first != nil {
		return nil, fmt.Errorf("%w; nothing was changed (--strict)", skipped.first)
	}
	skipped.say(ui)
	if err := edited.check(l.Request.Names, skipped); err != nil {
		return nil, err
	}
	if l.InPlace { // before it is reported: what cannot be written is not announced
		if err := l.write(edited); err != nil {
			return nil, err
		}
	}
	differ := false
	for i, r := range edited.results {
		differ = l.say(edited.sources[i].name, r) || differ
	}
	switch meant := edited.meant; {
	case differ:
	case meant == 0:
		ui.Say("No services match; nothing is changed.")
	case meant == 1:
		ui.Say("The Service has the values already; nothing is changed.")
	default:
		ui.Say("All %d Services have the values already; nothing is changed.", meant)
	}
	if l.InPlace {
		return nil, nil
	}
	return l.stream(edited.results)
}

// edits are the manifests that were edited, with what was found in them.
type edits struct {
	sources []source // without those that were skipped
	results []*manifest.Result
	found   map[string]bool // the names that are meant and there
	meant   int             // how many Services are
}

// edit edits all manifests. A file of a directory that is not a manifest is skipped.
func (l *editor) edit(sources []source, skipped *skips) (*edits, error) {
	out := &edits{found: map[string]bool{}}
	left := byReason{}
	for _, s := range sources {
		var refused error
		meant, names := 0, map[string]bool{}
		reasons := byReason{}
		r, err := manifest.Edit(s.name, s.raw, func(svc *corev1.Service) bool {
			ok, why, err := l.Request.Selects(svc)
			if why != "" {
				reasons.add(why, fmt.Sprintf("%s (%s)", svc.Name, s.name))
			}
			if err != nil && refused == nil {
				refused = fmt.Errorf("%s: %w", s.name, err)
			}
			if ok {
				meant++
				names[svc.Name] = true
			}
			return ok
		}, l.Request.Values)
		var e *manifest.Error
		switch {
		case refused == nil && s.found && errors.As(err, &e) && e.Kind != manifest.Refused:
			skipped.add(e.Kind, s.name, err)
			continue
		case refused != nil || err != nil:
			return nil, errors.Join(refused, err)
		}
		out.sources, out.results = append(out.sources, s), append(out.results, r)
		out.meant += meant
		maps.Copy(out.found, names)
		left.merge(reasons)
	}
	left.each(func(why string, services []string) {
		what, are := "service", "is"
		if len(services) > 1 {
			what, are = "services", "are"
		}
		l.ui.Note("%s %s %s left out: %s", what, annotate.List(services, namedInNote), are, why)
	})
	return out, nil
}

// check refuses a request that means nothing in the manifests.
func (e *edits) check(names []string, skipped *skips) error {
	files := make([]string, len(e.sources))
	total := 0
	for i, s := range e.sources {
		files[i] = s.name
		total += len(e.results[i].Services)
	}
	where := annotate.List(files, 3)
	if n := skipped.count(); n > 0 {
		where = fmt.Sprintf("the files that could be read (%d were skipped)", n)
	}
	for _, n := range names {
		if !e.found[n] {
			return fmt.Errorf("service %s is not in %s", n, where)
		}
	}
	if total == 0 {
		return fmt.Errorf("no Services found in %s", where)
	}
	return nil
}

// say tells what differs, one line for each Service, and reports whether anything does.
func (l *editor) say(file string, r *manifest.Result) (differs bool) {
	for _, s := range r.Services {
		var parts []string
		for k, v := range s.After {
			parts = append(parts, fmt.Sprintf("%s: %s -> %s", k, output.Short(annotate.Show(s.Before[k])), annotate.Show(v)))
		}
		if slices.Sort(parts); len(parts) > 0 {
			l.ui.Say("%s:%d: service %s: %s", file, s.Line, s.Name, strings.Join(parts, "; "))
			differs = true
		}
	}
	return differs
}

// stream joins the manifests.
func (l *editor) stream(results []*manifest.Result) ([]byte, error) {
	var out bytes.Buffer
	for i, r := range results {
		if l.JSON {
			docs, err := r.JSON()
			if err != nil {
				return nil, err
			}
			for _, d := range docs {
				if err := json.Indent(&out, d, "", "  "); err != nil {
					return nil, err
				}
				out.WriteByte('\n')
			}
			continue
		}
		if i > 0 {
			if b := out.Bytes(); len(b) > 0 && b[len(b)-1] != '\n' {
				out.WriteByte('\n')
			}
			if !bytes.HasPrefix(r.Text, []byte("---")) {
				out.WriteString("---\n")
			}
		}
		out.Write(r.Text)
	}
	return out.Bytes(), nil
}

// write puts the files that differ in the place of the old ones.
func (l *editor) write(edited *edits) error {
	var list []replacement
	for i, s := range edited.sources {
		if text := edited.results[i].Text; !bytes.Equal(s.raw, text) {
			list = append(list, replacement{s.name, text})
		}
	}
	if err := replaceFiles(list); err != nil {
		return fmt.Errorf("--in-place: %w", err)
	}
	return nil
}

// namedInNote is how many Services a note names; the rest is counted.
const namedInNote = 5
