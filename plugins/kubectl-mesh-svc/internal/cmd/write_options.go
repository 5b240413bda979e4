package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/verb"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/write"
)

// errInEmpty: an empty variable in a script must not become "all clusters".
var errInEmpty = errors.New("--in is empty; name a cluster or leave it out")

var errAffinityMissing = errors.New("the affinity is missing; it is local, remote or none, before the names")

// writeFlags are what the user says about a change.
type writeFlags struct {
	env   *kernel.Env
	write *kernel.WriteFlags
	local localFlags

	in                                []string
	selector                          string
	all, allNamespaces, includeSystem bool
}

func newWriteFlags(e *kernel.Env) *writeFlags {
	return &writeFlags{env: e, write: kernel.NewWriteFlags(plugin.FieldManager)}
}

const managerUsage = "Name of the manager that is recorded as owner of the annotations."

func (f *writeFlags) addFlags(fs *pflag.FlagSet, needsIn bool) {
	in := "Clusters to change, by Cilium name or context (repeatable). "
	if needsIn {
		in += "Required."
	} else {
		in += "Defaults to all clusters that were read."
	}
	fs.StringSliceVar(&f.in, "in", nil, in)
	fs.StringVarP(&f.selector, "selector", "l", "", "Label selector of the Services to change.")
	fs.BoolVar(&f.all, "all", false, "If true, change all Services of the namespace.")
	fs.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "If true, look in all namespaces; with --selector or --all.")
	fs.BoolVar(&f.includeSystem, "include-system", false, "If true, also change Services of the system, ExternalName Services and those that Cilium ignores.")
	f.write.AddFlags(fs, kernel.WriteUsages{
		Manager:        managerUsage,
		Yes:            "If true, do not ask.",
		AllowPartial:   "If true, go on without clusters that cannot be reached or refuse.",
		ForceConflicts: "If true, also change annotations that a reconciler such as Argo CD, Flux or Helm owns, and what a drain took out of service.",
	})
	f.local.addFlags(fs)
}

// together refuses more than one way to say which Services are meant.
func (f *writeFlags) together(names []string) error {
	switch {
	case len(names) > 0 && (f.all || f.selector != ""):
		return errors.New("names and --all or --selector cannot be used together")
	case f.all && f.selector != "":
		return errors.New("--all and --selector cannot be used together")
	}
	return nil
}

// config checks everything that can be checked without a cluster.
func (f *writeFlags) config(edit verb.Edit, names []string) (write.Config, error) {
	bulk := f.all || f.selector != ""
	if err := f.together(names); err != nil {
		return write.Config{}, err
	}
	switch {
	case len(names) == 0 && !bulk:
		return write.Config{}, errors.New("no Service is named; give names, --selector or --all")
	case f.allNamespaces && !bulk:
		return write.Config{}, errors.New("--all-namespaces needs --selector or --all")
	case edit.NeedsIn != "" && len(f.in) == 0:
		return write.Config{}, fmt.Errorf("%s requires --in CLUSTER, because it applies to selected clusters only", edit.NeedsIn)
	}
	w, err := f.write.Config(f.env)
	if err != nil {
		return write.Config{}, err
	}
	selector, err := parseSelector(f.selector)
	if err != nil {
		return write.Config{}, err
	}
	parsed, err := serviceNames(names)
	if err != nil {
		return write.Config{}, err
	}
	return write.Config{Write: w, Select: f.env.Select, Namespace: f.env.Flags.Namespace, Edit: edit, Names: parsed, Bulk: bulk, Selector: selector,
		AllNamespaces: f.allNamespaces, IncludeSystem: f.includeSystem, In: f.in}, nil
}
