package clusters

import (
	"strings"

	"github.com/spf13/pflag"
)

// At are the flags with which another tool reaches the member; flag is its name for the context, such as --context or --kube-context.
// A context that stands in two kubeconfig files is FILE::NAME here, and nowhere else.
func (m *Member) At(flag string) string {
	file, name, both := strings.Cut(m.Context, "::")
	switch {
	case !both && m.Kubeconfig == "":
		return flag + " " + Quote(m.Context)
	case !both:
		file, name = m.Kubeconfig, m.Context
	}
	return "--kubeconfig " + Quote(file) + " " + flag + " " + Quote(name)
}

// Quote makes a word safe to paste into a shell; names of contexts and clusters may hold anything.
func Quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/@+,=", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Again returns the flags that a printed command needs to reach the same clusters in the same way, each after a blank: those of the connection
// that were set, without credentials. Contexts and namespace are not among them: what is printed names its own.
func (f *Flags) Again() string {
	var out strings.Builder
	if f.set == nil {
		return ""
	}
	f.set.VisitAll(func(flag *pflag.Flag) {
		switch flag.Name {
		case "context", "contexts", "all-contexts", "namespace", "v":
			return
		}
		if !flag.Changed {
			return
		}
		for _, word := range FlagWords(flag) {
			out.WriteString(" " + word)
		}
	})
	return out.String()
}

// FlagWords returns a flag as it is typed in a shell to have the value that it has; nothing for a credential, which is never printed.
func FlagWords(flag *pflag.Flag) []string {
	value := flag.Value.String()
	switch flag.Name {
	case "token", "password":
		return nil
	case "server", "proxy-url":
		if strings.Contains(value, "@") { // http://user:password@host
			return nil
		}
	}
	if flag.NoOptDefVal != "" && value == flag.NoOptDefVal {
		return []string{"--" + flag.Name}
	}
	values := []string{value}
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		if values = list.GetSlice(); flag.Value.Type() != "stringArray" { // of which each stands by itself, commas and all
			values = []string{strings.Join(values, ",")}
		}
	}
	words := make([]string, len(values))
	for n, v := range values {
		words[n] = "--" + flag.Name + "=" + Quote(v)
	}
	return words
}
