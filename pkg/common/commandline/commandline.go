// Package commandline builds every command that a plugin prints for users to paste into a shell: commands of the plugins themselves, and
// commands of kubectl, helm, flux, argocd, cilium and cmctl for one cluster.
//
// A printed command does the same from any directory and with any current context. It names the namespace, the contexts and, unless it is the
// default, the kubeconfig with an absolute path. It never contains a credential.
//
// Commands are for PowerShell on Windows and for a POSIX shell on other systems. A Shell has the rules of both, so that tests can compare them anywhere.
//
// The package reads no file. It knows how to quote, how a flag is typed again and where each tool takes its flags; it does not know what a command
// does. Package clusters knows which file defines a context: take a Context from Member.Origin().At and a Mesh from MeshOf.
package commandline

import (
	"encoding/csv"
	"slices"
	"strings"
)

// Kubeconfig holds the kubeconfig files that a command reads, as absolute paths. It is empty for the default file (~/.kube/config).
type Kubeconfig []string

// Context is one context of a kubeconfig: the target of a command for one cluster.
type Context struct {
	Name       string // the name in its file, never FILE::NAME
	Kubeconfig Kubeconfig
	Flags      []string // more flags of kubectl's connection that were set, such as --as=alice; not quoted. Tools with other flags leave them out

	variable bool // Name is the variable of Each's loop
}

// Mesh is the clusters that a command of a plugin works on.
type Mesh struct {
	Selection  []string // the flags that choose the clusters, such as those of Contexts; not quoted
	Kubeconfig Kubeconfig
	Flags      []string // more flags of the connection that were set, such as --cilium-namespace=cilium; not quoted

	contexts map[string]string // by cluster, for those whose name another cluster answers to; see Cluster
}

// Cluster returns what a command names a cluster: its name, or its context where another cluster answers to that name, too.
func (m Mesh) Cluster(name string) string {
	if context, ambiguous := m.contexts[name]; ambiguous {
		return context
	}
	return name
}

// Clusters returns clusters as a flag such as --in takes them; see Cluster and List.
func (m Mesh) Clusters(names ...string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = m.Cluster(name)
	}
	return List(out...)
}

// Contexts returns the selection of exactly these contexts.
func Contexts(names ...string) []string { return []string{"--contexts", List(names...)} }

// Plugin builds a command of a plugin, such as "kubectl mesh-svc". The words are the command, its arguments and its flags, not quoted. namespace
// is "" for a command without one.
func Plugin(plugin string, mesh Mesh, namespace string, words ...string) string {
	return here.Plugin(plugin, mesh, namespace, words...)
}

// Tool builds a command of another tool for one cluster: kubectl, cmctl, flux, helm, argocd or cilium. The words are its command, its arguments
// and its flags, not quoted. namespace is "" for a command without one.
func Tool(tool string, at Context, namespace string, words ...string) string {
	return here.Tool(tool, at, namespace, words...)
}

// Plugin is the function of the same name for a shell.
func (s Shell) Plugin(plugin string, mesh Mesh, namespace string, words ...string) string {
	l := line{shell: s, kubeconfig: mesh.Kubeconfig, takesKubeconfig: true}
	l.add(strings.Fields(plugin)...)
	// kubectl refuses flags before the name of a plugin. The namespace follows what it belongs to.
	flags := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") })
	if flags < 0 {
		flags = len(words)
	}
	l.add(words[:flags]...)
	l.namespace(namespace)
	l.add(words[flags:]...)
	l.add(mesh.Selection...)
	l.add(mesh.Flags...)
	return l.String()
}

// Tool is the function of the same name for a shell.
func (s Shell) Tool(tool string, at Context, namespace string, words ...string) string {
	l := line{shell: s, kubeconfig: at.Kubeconfig, takesKubeconfig: true}
	flag, more := "--context", at.Flags
	switch tool {
	case "helm":
		flag, more = "--kube-context", nil
	case "argocd": // it reads the environment only
		flag, more, l.takesKubeconfig = "--kube-context", nil, false
	case "cilium": // its --kubeconfig does not hold for the other cluster of clustermesh connect
		more, l.takesKubeconfig = nil, false
	}
	l.add(tool, flag)
	if at.variable {
		l.words = append(l.words, s.variable(at.Name))
	} else {
		l.add(at.Name)
	}
	l.namespace(namespace)
	l.rest = words
	l.more = more
	return l.String()
}

// Each is the function of the same name for a shell.
func (s Shell) Each(contexts []Context, command func(Context) string) string {
	if len(contexts) == 0 {
		return ""
	}
	var all, names []string
	sameFile := true
	for _, c := range contexts {
		all, names = append(all, command(c)), append(names, c.Name)
		sameFile = sameFile && slices.Equal(c.Kubeconfig, contexts[0].Kubeconfig)
	}
	if len(contexts) == 1 || !sameFile {
		return s.sequence(all)
	}
	loop := contexts[0]
	loop.Name, loop.variable = "c", true
	return s.loop(loop.Name, names, command(loop))
}

// line is a command that is being built.
type line struct {
	shell           Shell
	kubeconfig      Kubeconfig
	takesKubeconfig bool // by a flag; else by the environment
	words           []string
	rest            []string // the command of the tool, not quoted
	more            []string // flags that follow it, not quoted
}

func (l *line) add(words ...string) {
	for _, w := range words {
		l.words = append(l.words, l.shell.Quote(w))
	}
}

func (l *line) namespace(name string) {
	if name != "" {
		l.add("-n", name)
	}
}

// String is the command as it is pasted. --kubeconfig takes one file only; several are given in the environment, as they were found.
func (l *line) String() string {
	rest, after := l.rest, []string(nil)
	if n := slices.Index(rest, "--"); n >= 0 { // the following words are arguments of another command
		rest, after = rest[:n], rest[n:]
	}
	l.add(rest...)
	l.add(l.more...)
	inEnvironment := false
	switch {
	case len(l.kubeconfig) == 0:
	case len(l.kubeconfig) == 1 && l.takesKubeconfig:
		l.add("--kubeconfig", l.kubeconfig[0])
	default:
		inEnvironment = true
	}
	l.add(after...)
	command := strings.Join(l.words, " ")
	if inEnvironment {
		return l.shell.environment(l.kubeconfig, command)
	}
	return command
}

// List joins names for a repeatable flag that splits at commas, such as --contexts and --in. A name with a comma or a quote
// stays one name. The result is not quoted for a shell.
func List(names ...string) string {
	var out strings.Builder
	w := csv.NewWriter(&out)
	if err := w.Write(names); err != nil { // a strings.Builder never fails
		return strings.Join(names, ",")
	}
	w.Flush()
	return strings.TrimSuffix(out.String(), "\n")
}
