package cmd

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/local"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/verb"
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

// config checks everything that can be checked without reading a file.
func (l *localFlags) config(f *writeFlags, fs *pflag.FlagSet, edit verb.Edit, names []string) (local.Config, error) {
	for _, name := range elsewhere {
		if fs.Changed(name) {
			return local.Config{}, fmt.Errorf("--local edits manifests, and --%s refers to clusters; leave one of them out", name)
		}
	}
	format := f.write.Out.Format
	switch {
	case len(l.files) == 0 && l.kustomize == "":
		return local.Config{}, errors.New("--local needs the manifests: --filename FILE, - for stdin, or --kustomize DIR")
	case len(l.files) > 0 && l.kustomize != "":
		return local.Config{}, errors.New("--filename and --kustomize cannot be used together")
	case l.inPlace && (l.kustomize != "" || slices.Contains(l.files, "-")):
		return local.Config{}, errors.New("--in-place writes files back; it cannot be used with --kustomize or stdin")
	case l.inPlace && fs.Changed("output"):
		return local.Config{}, errors.New("--in-place prints no manifest; leave --output out")
	case format != "" && format != "yaml" && format != "json":
		return local.Config{}, fmt.Errorf("--local prints manifests: --output is yaml or json, not %q", format)
	}
	if err := f.together(names); err != nil {
		return local.Config{}, err
	}
	selector, err := parseSelector(f.selector)
	if err != nil {
		return local.Config{}, err
	}
	r := verb.Request{Edit: edit, Bulk: len(names) == 0, IncludeSystem: f.includeSystem, Selector: selector, Namespace: ptr.Deref(f.env.Flags.Config.Namespace, "")}
	if r.Names, err = serviceNames(names); err != nil {
		return local.Config{}, err
	}
	return local.Config{Files: l.files, Kustomize: l.kustomize, Recursive: l.recursive, Strict: l.strict, InPlace: l.inPlace, Stdin: f.env.In, JSON: format == "json", Request: r}, nil
}
