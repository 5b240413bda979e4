package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/manifest"
)

// localFlags choose the manifests that are edited instead of clusters.
type localFlags struct {
	on, recursive, inPlace bool
	files                  []string
	kustomize              string
}

func (l *localFlags) addFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&l.on, "local", false, "If true, edit the manifests of --filename or --kustomize and print them; no cluster is contacted.")
	fs.StringSliceVarP(&l.files, "filename", "f", nil, "Files or directories with the manifests to edit, - for stdin (repeatable); with --local. All Services in them, unless names or --selector pick some.")
	fs.BoolVarP(&l.recursive, "recursive", "R", false, "If true, also take the directories below those of --filename.")
	fs.StringVarP(&l.kustomize, "kustomize", "k", "", "Directory with a kustomization to build and edit; with --local.")
	fs.BoolVar(&l.inPlace, "in-place", false, "If true, write the edited files back instead of printing them; with --local.")
}

// unused refuses the flags of --local without it: a file is never what a cluster gets.
func (l *localFlags) unused(fs *pflag.FlagSet) error {
	for _, name := range []string{"filename", "recursive", "kustomize", "in-place"} {
		if fs.Changed(name) {
			return fmt.Errorf("--%s needs --local, which edits manifests; to change clusters give names, --selector or --all instead", name)
		}
	}
	return nil
}

// elsewhere are the flags that mean clusters.
var elsewhere = []string{"in", "contexts", "all-contexts", "context", "dry-run", "preflight", "field-manager", "yes", "allow-partial", "force-conflicts"}

// localOptions is an edit of manifests that is ready to run.
type localOptions struct {
	*env
	localFlags
	request globalsvc.Request
	format  string // yaml or json
}

// toLocal checks everything that can be checked without reading a file.
func (f *writeFlags) toLocal(fs *pflag.FlagSet, edit globalsvc.Edit, names []string) (*localOptions, error) {
	for _, name := range elsewhere {
		if fs.Changed(name) {
			return nil, fmt.Errorf("--local edits manifests and --%s is about clusters; leave one of them out", name)
		}
	}
	l := &localOptions{env: f.env, localFlags: f.local, format: f.out.Format}
	switch {
	case len(l.files) == 0 && l.kustomize == "":
		return nil, errors.New("--local needs the manifests: --filename FILE, - for stdin, or --kustomize DIR")
	case len(l.files) > 0 && l.kustomize != "":
		return nil, errors.New("--filename and --kustomize cannot be used together")
	case l.inPlace && (l.kustomize != "" || slices.Contains(l.files, "-")):
		return nil, errors.New("--in-place writes files back; it goes neither with --kustomize nor with stdin")
	case l.inPlace && fs.Changed("output"):
		return nil, errors.New("--in-place prints no manifest; leave --output out")
	case l.format != "" && l.format != "yaml" && l.format != "json":
		return nil, fmt.Errorf("--local prints manifests: --output is yaml or json, not %q", l.format)
	case len(names) > 0 && (f.all || f.selector != ""):
		return nil, errors.New("names and --all or --selector cannot be used together")
	case f.all && f.selector != "":
		return nil, errors.New("--all and --selector cannot be used together")
	}
	selector, err := parseSelector(f.selector)
	if err != nil {
		return nil, err
	}
	l.request = globalsvc.Request{Edit: edit, Bulk: len(names) == 0, IncludeSystem: f.includeSystem, Selector: selector}
	if ns := f.env.flags.Config.Namespace; ns != nil {
		l.request.Namespace = *ns
	}
	for _, n := range names {
		name, err := serviceName(n)
		if err != nil {
			return nil, err
		}
		l.request.Names = append(l.request.Names, name)
	}
	return l, nil
}

// source is one manifest.
type source struct {
	name string
	raw  []byte
}

// run edits all manifests before it prints or writes the first.
func (l *localOptions) run() error {
	sources, err := l.read()
	if err != nil {
		return err
	}
	var results []*manifest.Result
	var names []string
	found, meant := map[string]bool{}, 0
	for _, s := range sources {
		var refused error
		var skipped []string
		r, err := manifest.Edit(s.name, s.raw, func(svc *corev1.Service) bool {
			ok, why, err := l.request.Wants(svc)
			if why != "" {
				skipped = append(skipped, fmt.Sprintf("service %s is left out: %s", svc.Name, why))
			}
			if err != nil && refused == nil {
				refused = fmt.Errorf("%s: %w", s.name, err)
			}
			if ok {
				meant++
				found[svc.Name] = true
			}
			return ok
		}, l.request.Values)
		if err = errors.Join(refused, err); err != nil {
			return err
		}
		for _, line := range skipped {
			output.Say(l.ErrOut, "Note: %s: %s", s.name, line)
		}
		results, names = append(results, r), append(names, s.name)
	}
	total := 0
	for _, r := range results {
		total += len(r.Services)
	}
	for _, n := range l.request.Names {
		if !found[n] {
			return fmt.Errorf("service %s is not in %s", n, change.List(names, 3))
		}
	}
	if total == 0 {
		return fmt.Errorf("there is no Service in %s", change.List(names, 3))
	}
	if l.inPlace { // before it is said: what cannot be written is not announced
		if err := l.write(sources, results); err != nil {
			return err
		}
	}
	differ := false
	for i, r := range results {
		differ = l.say(names[i], r) || differ
	}
	switch {
	case differ:
	case meant == 0:
		output.Say(l.ErrOut, "No services match; nothing is changed.")
	case meant == 1:
		output.Say(l.ErrOut, "The Service has the values already; nothing is changed.")
	default:
		output.Say(l.ErrOut, "All %d Services have the values already; nothing is changed.", meant)
	}
	if l.inPlace {
		return nil
	}
	return l.print(results)
}

// say tells what differs, one line for each Service, and reports whether anything does.
func (l *localOptions) say(file string, r *manifest.Result) (differs bool) {
	for _, s := range r.Services {
		var parts []string
		for k, v := range s.After {
			parts = append(parts, fmt.Sprintf("%s: %s -> %s", k, output.Short(change.Show(s.Before[k])), change.Show(v)))
		}
		if slices.Sort(parts); len(parts) > 0 {
			output.Say(l.ErrOut, "%s:%d: service %s: %s", file, s.Line, s.Name, strings.Join(parts, "; "))
			differs = true
		}
	}
	return differs
}

// read returns the manifests in the order in which they were named; those of a directory by name.
func (l *localOptions) read() ([]source, error) {
	if l.kustomize != "" {
		built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), l.kustomize)
		if err != nil {
			return nil, fmt.Errorf("--kustomize: %w", err)
		}
		raw, err := built.AsYaml()
		if err != nil {
			return nil, fmt.Errorf("--kustomize: %w", err)
		}
		return []source{{l.kustomize, raw}}, nil
	}
	var out []source
	for _, name := range l.files {
		if name == "-" {
			raw, err := io.ReadAll(l.In)
			if err != nil {
				return nil, fmt.Errorf("stdin: %w", err)
			}
			out = append(out, source{"stdin", raw})
			continue
		}
		if strings.Contains(name, "://") {
			return nil, fmt.Errorf("--filename %s: only files are edited; download it first", name)
		}
		paths, err := l.expand(name)
		if err != nil {
			return nil, fmt.Errorf("--filename: %w", err)
		}
		for _, p := range paths {
			raw, err := os.ReadFile(p)
			if err != nil {
				return nil, fmt.Errorf("--filename: %w", err)
			}
			out = append(out, source{p, raw})
		}
	}
	return out, nil
}

// expand returns the manifests of a directory, or the file itself.
func (l *localOptions) expand(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	var out []string
	err = filepath.WalkDir(name, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != name && !l.recursive:
			return filepath.SkipDir
		case !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			out = append(out, path)
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		return nil, fmt.Errorf("%s holds no .yaml, .yml or .json file; --recursive also takes the directories below it", name)
	}
	return out, err
}

// print prints the manifests as one stream.
func (l *localOptions) print(results []*manifest.Result) error {
	var out bytes.Buffer
	for i, r := range results {
		if l.format == "json" {
			docs, err := r.JSON()
			if err != nil {
				return err
			}
			for _, d := range docs {
				if err := json.Indent(&out, d, "", "  "); err != nil {
					return err
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
	_, err := l.Out.Write(out.Bytes())
	return err
}

// write puts the files that differ in the place of the old ones.
func (l *localOptions) write(sources []source, results []*manifest.Result) error {
	var list []replacement
	for i, s := range sources {
		if !bytes.Equal(s.raw, results[i].Text) {
			list = append(list, replacement{s.name, results[i].Text})
		}
	}
	if err := replaceFiles(list); err != nil {
		return fmt.Errorf("--in-place: %w", err)
	}
	return nil
}
