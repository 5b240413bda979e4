package commandline

import (
	"cmp"
	"slices"

	"github.com/spf13/pflag"
)

// Origin is where a context of a kubeconfig is defined, and what printed commands have to repeat to reach its cluster. Nothing of it is guessed
// from a name.
type Origin struct {
	Context   string        // as --contexts takes it: NAME, or FILE::NAME; empty for a cluster that no context leads to
	InFile    string        // its name in the file, without FILE::; empty where that is Context
	File      string        // absolute path of the file; empty for the default file
	Merged    bool          // the context refers to entries of another file
	Files     Kubeconfig    // all files that were read; none where that is the default file
	Flags     []*pflag.Flag // the flags of the connection that were set
	Selection []string      // the flags with which the clusters were selected
	Ambiguous string        // the name of the cluster, if another one answers to it too; else empty
}

// Placed is a cluster whose origin is known.
type Placed interface{ Origin() Origin }

// At returns the context as printed commands of other tools name it.
func (o Origin) At() Context {
	at := Context{Name: o.name(), Kubeconfig: o.kubeconfig()}
	for _, f := range o.Flags {
		if slices.Contains(kubectlFlags, f.Name) {
			at.Flags = append(at.Flags, FlagWords(f)...)
		}
	}
	return at
}

// kubectlFlags are the flags of the connection that a printed command of kubectl repeats: all that change which API server it reaches, and as whom. A kubectl
// that is too old for one refuses it, which is better than acting elsewhere.
var kubectlFlags = []string{
	"as", "as-group", "as-uid", "as-user-extra", "user", "client-certificate", "client-key",
	"server", "cluster", "proxy-url", "tls-server-name", "certificate-authority", "insecure-skip-tls-verify",
}

// name returns what the context's file calls it.
func (o Origin) name() string { return cmp.Or(o.InFile, o.Context) }

// kubeconfig is what a command for this context alone reads.
func (o Origin) kubeconfig() Kubeconfig {
	switch {
	case o.Merged:
		return o.Files
	case o.File == "":
		return nil
	}
	return Kubeconfig{o.File}
}

// Mesh returns the mesh that the context's cluster belongs to, for a command that detects its members.
func (o Origin) Mesh() Mesh {
	mesh := MeshOf([]Origin{o})
	if o.Files != nil {
		mesh.Kubeconfig = o.Files
	}
	mesh.Selection = []string{"--context", o.Context}
	return mesh
}

// Origin returns the origin itself.
func (o Origin) Origin() Origin { return o }

// mostContexts is how many contexts a printed command names. More are chosen as the user chose them.
const mostContexts = 12

// MeshOf returns clusters as printed commands of the plugins choose them: by their contexts, so that the command works on these clusters and
// on no other, whatever the current context is.
func MeshOf[P Placed](clusters []P) Mesh {
	var origins []Origin
	for _, c := range clusters {
		if o := c.Origin(); o.Context != "" { // a peer without a context
			origins = append(origins, o)
		}
	}
	if len(origins) == 0 {
		return Mesh{}
	}
	first := origins[0]
	mesh := Mesh{Kubeconfig: first.kubeconfig()}
	for _, f := range first.Flags {
		mesh.Flags = append(mesh.Flags, FlagWords(f)...)
	}
	if len(origins) > mostContexts && len(first.Selection) > 0 {
		mesh.Selection, mesh.Kubeconfig = first.Selection, first.Files
		mesh.contexts = ambiguous(origins, func(o Origin) string { return o.Context })
		return mesh
	}
	oneFile := len(mesh.Kubeconfig) < 2 && !slices.ContainsFunc(origins, func(o Origin) bool { return !slices.Equal(o.kubeconfig(), mesh.Kubeconfig) })
	if !oneFile {
		mesh.Kubeconfig = first.Files
	}
	context := func(o Origin) string {
		if oneFile { // where NAME is not ambiguous
			return o.name()
		}
		return o.Context
	}
	names := make([]string, len(origins))
	for i, o := range origins {
		names[i] = context(o)
	}
	mesh.Selection, mesh.contexts = Contexts(names...), ambiguous(origins, context)
	return mesh
}

// ambiguous returns the contexts of the clusters whose name another cluster answers to, by that name; nil for none.
func ambiguous(origins []Origin, context func(Origin) string) map[string]string {
	var out map[string]string
	for _, o := range origins {
		if o.Ambiguous == "" {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[o.Ambiguous] = context(o)
	}
	return out
}
