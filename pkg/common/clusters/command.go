package clusters

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
)

// printed is what printed commands have to repeat to reach a member. Nothing of it is guessed from a name.
type printed struct {
	merged    bool                   // the context refers to entries of another file
	files     commandline.Kubeconfig // all files that were read; none where that is the default file
	flags     []*pflag.Flag          // the flags of the connection that were set
	selection []string               // the flags with which the members were selected
}

// CommandContext returns the member's context as printed commands of other tools name it.
func (m *Member) CommandContext() commandline.Context {
	at := commandline.Context{Name: cmp.Or(m.ContextInFile, m.Context), Kubeconfig: m.commandKubeconfig()}
	for _, f := range m.printed.flags {
		if slices.Contains(kubectlFlags, f.Name) {
			at.Flags = append(at.Flags, FlagWords(f)...)
		}
	}
	return at
}

// commandKubeconfig is what a command for this member alone reads.
func (m *Member) commandKubeconfig() commandline.Kubeconfig {
	switch {
	case m.printed.merged:
		return m.printed.files
	case m.Kubeconfig == "":
		return nil
	}
	return commandline.Kubeconfig{m.Kubeconfig}
}

// kubectlFlags are the flags of the connection that a printed command of kubectl repeats.
var kubectlFlags = []string{"as", "as-group", "as-uid", "insecure-skip-tls-verify"}

// CommandContexts returns the contexts of members as printed commands of other tools name them.
func CommandContexts(members []*Member) []commandline.Context {
	out := make([]commandline.Context, len(members))
	for i, m := range members {
		out[i] = m.CommandContext()
	}
	return out
}

// mostContexts is how many contexts a printed command names. More are chosen as the user chose them.
const mostContexts = 12

// CommandMesh returns members as printed commands of the plugins choose them: by their contexts, so that the command works on these clusters and
// on no other, whatever the current context is.
func CommandMesh(members []*Member) commandline.Mesh {
	members = slices.DeleteFunc(slices.Clone(members), func(m *Member) bool { return m.Context == "" }) // a peer without a context
	if len(members) == 0 {
		return commandline.Mesh{}
	}
	first := members[0]
	mesh := commandline.Mesh{Kubeconfig: first.commandKubeconfig()}
	for _, f := range first.printed.flags {
		mesh.Flags = append(mesh.Flags, FlagWords(f)...)
	}
	if len(members) > mostContexts && len(first.printed.selection) > 0 {
		mesh.Selection, mesh.Kubeconfig = first.printed.selection, first.printed.files
		return mesh
	}
	oneFile := len(mesh.Kubeconfig) < 2 && !slices.ContainsFunc(members, func(m *Member) bool { return !slices.Equal(m.commandKubeconfig(), mesh.Kubeconfig) })
	if !oneFile {
		mesh.Kubeconfig = first.printed.files
	}
	names := make([]string, len(members))
	for i, m := range members {
		if names[i] = m.Context; oneFile { // where NAME is not ambiguous
			names[i] = cmp.Or(m.ContextInFile, m.Context)
		}
	}
	mesh.Selection = commandline.Contexts(names...)
	return mesh
}

// CommandMesh returns the mesh that the member's cluster belongs to, for a command that detects its members.
func (m *Member) CommandMesh() commandline.Mesh {
	mesh := CommandMesh([]*Member{m})
	if m.printed.files != nil {
		mesh.Kubeconfig = m.printed.files
	}
	mesh.Selection = []string{"--context", m.Context}
	return mesh
}

// CommandMesh returns the clusters that the flags mean, for a command that is printed before they are known.
func (f *Flags) CommandMesh() commandline.Mesh {
	mesh := commandline.Mesh{}
	for _, flag := range f.connectionFlags() {
		mesh.Flags = append(mesh.Flags, FlagWords(flag)...)
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

// FlagWords returns a flag as it is typed to have the value that it has, not quoted for a shell; nothing for a credential, which is never printed.
func FlagWords(flag *pflag.Flag) []string {
	value := flag.Value.String()
	switch flag.Name {
	case "token", "password":
		return nil
	case "server", "proxy-url":
		if strings.Contains(value, "@") { // http://user:password@host
			return nil
		}
	case "certificate-authority", "client-certificate", "client-key":
		if abs, err := filepath.Abs(value); err == nil && value != "" {
			value = abs
		}
	}
	if flag.NoOptDefVal != "" && value == flag.NoOptDefVal {
		return []string{"--" + flag.Name}
	}
	values := []string{value}
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		if values = list.GetSlice(); flag.Value.Type() != "stringArray" { // of which each stands by itself, commas and all
			values = []string{commandline.List(values...)}
		}
	}
	words := make([]string, len(values))
	for n, v := range values {
		words[n] = "--" + flag.Name + "=" + v
	}
	return words
}
