package clusters

import (
	"cmp"

	"github.com/spf13/pflag"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
)

// Origin returns where the member's context is defined, for commands that are printed.
func (m *Member) Origin() commandline.Origin {
	o := m.origin
	o.Context, o.InFile, o.File = m.Context, m.ContextInFile, m.Kubeconfig
	return o
}

// CommandMesh returns the clusters that the flags mean, for a command that is printed before they are known.
func (f *Flags) CommandMesh() commandline.Mesh {
	mesh := commandline.Mesh{}
	for _, flag := range f.connectionFlags() {
		mesh.Flags = append(mesh.Flags, commandline.FlagWords(flag)...)
	}
	if kc, err := f.load(); err == nil { // what is wrong with the kubeconfig says the next command too
		mesh.Selection, mesh.Kubeconfig = f.selection(kc), kc.files
	}
	return mesh
}

// selection returns the flags that select the same members again, from any directory and with any current context.
func (f *Flags) selection(kc *kubeconfig) []string {
	exact := func(pattern string) string {
		if found, err := kc.find(pattern); err == nil && len(found) == 1 {
			return found[0].name
		}
		return pattern
	}
	current := cmp.Or(ptr.Deref(f.Config.Context, ""), kc.current)
	switch patterns := f.patterns(); {
	case len(patterns) > 0:
		names := make([]string, len(patterns))
		for i, p := range patterns {
			names[i] = exact(p)
		}
		return commandline.Contexts(names...)
	case f.AllContexts:
		return []string{"--all-contexts"}
	case current != "":
		return []string{"--context", exact(current)}
	}
	return nil
}

// connectionFlags returns the flags of the connection that were set, without those that choose clusters, kubeconfig and namespace: a printed
// command names its own.
func (f *Flags) connectionFlags() []*pflag.Flag {
	var out []*pflag.Flag
	if f.set == nil {
		return nil
	}
	f.set.VisitAll(func(flag *pflag.Flag) {
		switch flag.Name {
		case "context", "contexts", "all-contexts", "kubeconfig", "namespace", "v":
			return
		}
		if flag.Changed {
			out = append(out, flag)
		}
	})
	return out
}

// IsConnectionFlag reports whether a flag belongs to the connection: a command that is printed again gets it from CommandMesh.
func (f *Flags) IsConnectionFlag(flag *pflag.Flag) bool {
	return f.set != nil && flag.Name != "v" && f.set.Lookup(flag.Name) == flag
}
