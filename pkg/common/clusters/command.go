package clusters

import "strings"

// At are the flags with which another tool reaches the member; flag is its name for the context, such as --context or --kube-context.
// A context that stands in two kubeconfig files is FILE::NAME here, and nowhere else.
func (m *Member) At(flag string) string {
	file, name, both := strings.Cut(m.Context, "::")
	if !both {
		return flag + " " + Quote(m.Context)
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
