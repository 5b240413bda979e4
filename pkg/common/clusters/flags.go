// Package clusters turns kubeconfig files into the members of a mesh: which contexts belong to it, how each is reached, and what its Cilium says
// about itself.
//
// It knows the Kubernetes clients; it does not know Services, certificates or output. Package fanout asks members at once, package failure
// classifies their errors, and package commandline prints commands for them.
package clusters

import (
	"errors"
	"os"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/execplugin"
)

// EnvContexts is the environment variable that names the contexts when no flag does.
const EnvContexts = "KUBECTL_MESH_CONTEXTS"

// DefaultTimeout is how long one member may take to answer.
const DefaultTimeout = 10 * time.Second

// Flags are what the user says about which clusters are read, and how.
type Flags struct {
	Config          *genericclioptions.ConfigFlags
	Contexts        []string
	AllContexts     bool
	CiliumNamespace string
	Timeout         time.Duration
	// Progress is told what Select waits for, line by line, when that takes long; nil for nobody. Of API servers it is told only if
	// ServerProgress is set: the log of a script needs no line about a slow server, but one about a plugin that hangs.
	Progress       func(line string)
	ServerProgress bool
	// Warnings collects what API servers warn of. A selection takes those until its end; the later ones are for whoever prints them.
	Warnings *Warnings

	host       *execplugin.Host // of the context that Select was called with
	found      Found            // told of members while they are selected; nil for nobody
	unattended bool             // nobody is at the terminal
	headStart  time.Duration    // see headStart

	set *pflag.FlagSet // to tell an empty value from none
}

// NewFlags returns the flags with their defaults.
func NewFlags() *Flags {
	cf := genericclioptions.NewConfigFlags(true)
	// Discovery is not cached: none of our commands asks for it.
	cf.CacheDir = nil
	return &Flags{Config: cf, Timeout: DefaultTimeout, Warnings: &Warnings{}, headStart: headStart}
}

// AddFlags registers kubectl's own connection flags and ours.
func (f *Flags) AddFlags(fs *pflag.FlagSet) {
	f.set = fs
	f.Config.AddFlags(fs)
	fs.StringSliceVar(&f.Contexts, "contexts", f.Contexts, "Contexts whose clusters are read, as names or globs such as 'kind-*' (repeatable). Use FILE::NAME for a name that is defined in two kubeconfig files. Defaults to the mesh of the current context.")
	fs.BoolVar(&f.AllContexts, "all-contexts", f.AllContexts, "If true, read the clusters of all contexts.")
	fs.StringVar(&f.CiliumNamespace, "cilium-namespace", f.CiliumNamespace, "Namespace in which Cilium is installed. Defaults to detecting it.")
	fs.DurationVar(&f.Timeout, "cluster-timeout", f.Timeout, "How long to wait for an answer of one cluster.")
}

// validate checks what can be checked without a kubeconfig.
func (f *Flags) validate() error {
	switch {
	case f.set != nil && f.set.Changed("contexts") && len(f.Contexts) == 0:
		return errors.New("--contexts is empty; name a context or leave it out")
	case len(f.Contexts) > 0 && f.AllContexts:
		return errors.New("--contexts and --all-contexts cannot be used together")
	case len(f.Contexts) > 0 && ptr.Deref(f.Config.Context, "") != "":
		return errors.New("--context and --contexts cannot be used together; the first of --contexts is the home cluster")
	case f.Timeout <= 0:
		return errors.New("--cluster-timeout must be greater than 0")
	}
	for _, c := range f.Contexts {
		if c == "" {
			return errors.New("--contexts has an empty name")
		}
	}
	return nil
}

// Chosen reports whether the user chose the clusters by a flag.
func (f *Flags) Chosen() bool {
	return len(f.Contexts) > 0 || f.AllContexts || ptr.Deref(f.Config.Context, "") != ""
}

// patterns returns the contexts that the user asked for, or nothing.
func (f *Flags) patterns() []string {
	if len(f.Contexts) > 0 {
		return f.Contexts
	}
	if f.AllContexts || ptr.Deref(f.Config.Context, "") != "" {
		return nil
	}
	return splitList(os.Getenv(EnvContexts))
}

// Namespace returns the namespace of --namespace, else of the home context, else "default".
func (f *Flags) Namespace(home *Member) string {
	if ns := ptr.Deref(f.Config.Namespace, ""); ns != "" {
		return ns
	}
	if home != nil && home.DefaultNamespace != "" {
		return home.DefaultNamespace
	}
	return "default"
}
