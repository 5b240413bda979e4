package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/manifest"
)

// localFlags choose the manifests that are edited instead of clusters.
type localFlags struct {
	on, recursive, inPlace, strict bool
	files                          []string
	kustomize                      string
}

func (l *localFlags) addFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&l.on, "local", false, "If true, edit the manifests of --filename or --kustomize and print them; no cluster is contacted.")
	fs.StringSliceVarP(&l.files, "filename", "f", nil, "Files or directories with the manifests to edit, - for stdin (repeatable); with --local. All Services in them, unless names or --selector pick some.")
	fs.BoolVarP(&l.recursive, "recursive", "R", false, "If true, also take the directories below those of --filename.")
	fs.StringVarP(&l.kustomize, "kustomize", "k", "", "Directory with a kustomization to build and edit; with --local.")
	fs.BoolVar(&l.strict, "strict", false, "If true, refuse a directory with files that cannot be read as manifests, such as Helm templates, instead of skipping these; with --local.")
	fs.BoolVar(&l.inPlace, "in-place", false, "If true, write the edited files back instead of printing them; with --local.")
}

// unused refuses the flags of --local without it: a file is never what a cluster gets.
func (l *localFlags) unused(fs *pflag.FlagSet) error {
	for _, name := range []string{"filename", "recursive", "kustomize", "strict", "in-place"} {
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

// run edits all manifests before it prints or writes the first.
func (l *localOptions) run() error {
	skipped := &skips{}
	sources, err := l.read(skipped)
	if err != nil {
		return err
	}
	edited, err := l.edit(sources, skipped)
	if err != nil {
		return err
	}
	if l.strict && skipped.first != nil {
		return fmt.Errorf("%w; nothing was changed (--strict)", skipped.first)
	}
	skipped.say(l.env)
	if err := edited.check(l.request.Names, skipped); err != nil {
		return err
	}
	if l.inPlace { // before it is said: what cannot be written is not announced
		if err := l.write(edited); err != nil {
			return err
		}
	}
	differ := false
	for i, r := range edited.results {
		differ = l.say(edited.sources[i].name, r) || differ
	}
	switch meant := edited.meant; {
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
	return l.print(edited.results)
}

// edits are the manifests that were edited, with what was found in them.
type edits struct {
	sources []source // without those that were skipped
	results []*manifest.Result
	found   map[string]bool // the names that are meant and there
	meant   int             // how many Services are
}

// edit edits all manifests. A file of a directory that is not a manifest is skipped.
func (l *localOptions) edit(sources []source, skipped *skips) (*edits, error) {
	out := &edits{found: map[string]bool{}}
	left := byReason{}
	for _, s := range sources {
		var refused error
		meant, names := 0, map[string]bool{}
		reasons := byReason{}
		r, err := manifest.Edit(s.name, s.raw, func(svc *corev1.Service) bool {
			ok, why, err := l.request.Wants(svc)
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
		}, l.request.Values)
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
		output.Say(l.ErrOut, "Note: %s %s %s left out: %s", what, annotate.List(services, namedInError), are, why)
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
		return fmt.Errorf("there is no Service in %s", where)
	}
	return nil
}

// say tells what differs, one line for each Service, and reports whether anything does.
func (l *localOptions) say(file string, r *manifest.Result) (differs bool) {
	for _, s := range r.Services {
		var parts []string
		for k, v := range s.After {
			parts = append(parts, fmt.Sprintf("%s: %s -> %s", k, output.Short(annotate.Show(s.Before[k])), annotate.Show(v)))
		}
		if slices.Sort(parts); len(parts) > 0 {
			output.Say(l.ErrOut, "%s:%d: service %s: %s", file, s.Line, s.Name, strings.Join(parts, "; "))
			differs = true
		}
	}
	return differs
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
func (l *localOptions) write(edited *edits) error {
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
