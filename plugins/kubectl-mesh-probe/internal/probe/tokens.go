package probe

import (
	"bytes"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// What a token is, in the order in which it is shown. Pod names say most.
const (
	ByPod     = "pod name"
	ByIP      = "pod IP"
	ByNode    = "node name"
	ByCluster = "cluster name"
	ByContext = "context name"
)

// Tokens are words that stand in the replies of one member only: names and
// addresses of the Service's pods, their nodes, the member's own names.
type Tokens struct {
	list []token // longest first
}

type token struct {
	text   []byte
	member string
	by     string
}

// NewTokens collects the words of a Service's endpoints in each member that are unique to one member.
func NewTokens(snap *routing.Snapshot, key routing.Key) *Tokens {
	type owner struct {
		member, by string
		twice      bool
	}
	found := map[string]*owner{}
	add := func(text, member, by string) {
		if text == "" {
			return
		}
		switch o := found[text]; {
		case o == nil:
			found[text] = &owner{member: member, by: by}
		case o.member != member:
			o.twice = true // a StatefulSet's web-0 in two clusters tells nothing
		}
	}
	for i := range snap.Clusters {
		c := &snap.Clusters[i]
		if svc := c.Services[key]; svc != nil {
			for _, e := range svc.Endpoints {
				add(e.Pod, c.Name, ByPod)
				add(e.Addr.String(), c.Name, ByIP)
				add(e.Node, c.Name, ByNode)
			}
		}
		add(c.Name, c.Name, ByCluster)
		add(c.Context, c.Name, ByContext)
	}
	t := &Tokens{}
	for text, o := range found {
		if !o.twice {
			t.list = append(t.list, token{text: []byte(text), member: o.member, by: o.by})
		}
	}
	slices.SortFunc(t.list, func(a, b token) int {
		if len(a.text) != len(b.text) {
			return len(b.text) - len(a.text)
		}
		return bytes.Compare(a.text, b.text)
	})
	return t
}

// Merge returns the tokens of both; a word that means two members means none.
func (t *Tokens) Merge(o *Tokens) *Tokens {
	out := &Tokens{}
	for _, tk := range append(slices.Clone(t.list), o.list...) {
		clash := func(x token) bool { return bytes.Equal(x.text, tk.text) && x.member != tk.member }
		same := func(x token) bool { return bytes.Equal(x.text, tk.text) }
		if !slices.ContainsFunc(t.list, clash) && !slices.ContainsFunc(o.list, clash) && !slices.ContainsFunc(out.list, same) {
			out.list = append(out.list, tk)
		}
	}
	slices.SortStableFunc(out.list, func(a, b token) int { return len(b.text) - len(a.text) })
	return out
}

// find looks for the longest token in the header's values and the body. Two tokens
// of the same length that mean different members leave the reply unknown.
func (t *Tokens) find(r *Reply) Answer {
	var best *token
	for i := range t.list {
		tk := &t.list[i]
		if best != nil && len(tk.text) < len(best.text) {
			break
		}
		if !inReply(r, tk.text) {
			continue
		}
		if best == nil {
			best = tk
		} else if best.member != tk.member {
			return Answer{}
		}
	}
	if best == nil {
		return Answer{}
	}
	return Answer{Name: best.member, Member: true, By: best.by}
}

func inReply(r *Reply, word []byte) bool {
	if hasWord(r.Body, word) {
		return true
	}
	for _, line := range r.Header {
		if _, value, ok := strings.Cut(line, ":"); ok && hasWord([]byte(value), word) {
			return true
		}
	}
	return false
}

// hasWord reports whether a word stands in text by itself: us, but not in us-worker or status.
// A dot ends a word unless more of a number or a name follows directly, so that 10.1.1.2 is not found in 10.1.1.23 or 10.1.1.2.3.
func hasWord(text, word []byte) bool {
	for from := 0; ; {
		i := bytes.Index(text[from:], word)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(word)
		if !inWord(text, start-1, -1, isDigit(word[0])) && !inWord(text, end, +1, isDigit(word[len(word)-1])) {
			return true
		}
		from = start + 1
	}
}

// inWord reports whether the byte at i belongs to the word beside it.
func inWord(text []byte, i, step int, digit bool) bool {
	if i < 0 || i >= len(text) {
		return false
	}
	if text[i] != '.' {
		return isWordByte(text[i])
	}
	j := i + step
	return digit && j >= 0 && j < len(text) && isDigit(text[j])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordByte(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c >= 0x80
}
