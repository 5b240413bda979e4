package origin

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// What a token is, the strongest evidence first. Nobody but a pod knows its name; its address may be quoted as a client's; a
// node has many pods. Names of clusters and contexts are often words of a language as well.
const (
	ByPod     = "pod name"
	ByIP      = "pod IP"
	ByNode    = "node name"
	ByCluster = "cluster name"
	ByContext = "context name"
)

// Tokens are words and addresses that mean one member only: names and addresses of the Service's pods, their nodes, the member's
// own names. Those that mean several members are kept too, so that Merge never makes one of them unique again.
type Tokens struct {
	words map[string]token     // names of pods, nodes, clusters and contexts
	addrs map[netip.Addr]token // of pods, unmapped and without a zone
}

type token struct {
	member string
	by     string
	weak   bool
	twice  bool // a StatefulSet's web-0 in two clusters tells nothing
}

// NewTokens collects the words of a Service's endpoints in each member.
func NewTokens(snap *routing.Snapshot, key routing.Key) *Tokens {
	t := &Tokens{words: map[string]token{}, addrs: map[netip.Addr]token{}}
	for i := range snap.Clusters {
		c := &snap.Clusters[i]
		if svc := c.Services[key]; svc != nil {
			for _, e := range svc.Endpoints {
				t.word(e.Pod, token{member: c.Name, by: ByPod, weak: isPlainWord(e.Pod)})
				t.word(e.Node, token{member: c.Name, by: ByNode, weak: isPlainWord(e.Node)})
				if e.Addr.IsValid() {
					t.addr(e.Addr, token{member: c.Name, by: ByIP})
				}
			}
		}
		t.word(c.Name, token{member: c.Name, by: ByCluster, weak: true})
		t.word(c.Context, token{member: c.Name, by: ByContext, weak: true})
	}
	return t
}

// Merge returns the tokens of both; a word that means two members means none.
func (t *Tokens) Merge(o *Tokens) *Tokens {
	out := &Tokens{words: map[string]token{}, addrs: map[netip.Addr]token{}}
	for _, from := range []*Tokens{t, o} {
		for text, tk := range from.words {
			out.word(text, tk)
		}
		for addr, tk := range from.addrs {
			out.addr(addr, tk)
		}
	}
	return out
}

func (t *Tokens) word(text string, tk token) {
	if text == "" {
		return
	}
	if addr, err := netip.ParseAddr(text); err == nil { // some providers name nodes by their addresses
		t.addr(addr, tk)
		return
	}
	t.words[text] = together(t.words[text], tk)
}

func (t *Tokens) addr(addr netip.Addr, tk token) {
	tk.weak = false // an address is not a word of a language
	addr = addr.Unmap().WithZone("")
	t.addrs[addr] = together(t.addrs[addr], tk)
}

// together is what a text is that has both meanings; the weaker one counts.
func together(had, tk token) token {
	switch {
	case had.member == "":
		return tk
	case had.member != tk.member, had.twice, tk.twice:
		had.twice = true
	case tk.weak && !had.weak:
		return tk
	}
	return had
}

// isPlainWord reports whether a name consists of letters only, so that it may be in a sentence by chance.
func isPlainWord(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) {
			return false
		}
	}
	return true
}

// match is one place of a reply that means a member.
type hit struct {
	token
	start, end int
}

// find says who sent a reply. Strong evidence decides by itself: a pod's name, else a pod's address, else a node's name. Without any, names of
// clusters and contexts count where a program has put them. Evidence of one rank that means two members leaves the reply unknown.
func (t *Tokens) find(r *reply.Reply) Match {
	texts := [][]byte{r.Body}
	for _, line := range r.Header {
		if _, value, ok := reply.SplitHeader(line); ok {
			texts = append(texts, []byte(value))
		}
	}
	var strong []hit
	for _, text := range texts {
		strong = append(strong, t.strong(text)...)
	}
	for _, by := range []string{ByPod, ByIP, ByNode} {
		if rank := keep(strong, by); len(rank) > 0 {
			return agreed(rank)
		}
	}
	return agreed(t.weakIn(r))
}

func keep(all []hit, by string) []hit {
	return slices.DeleteFunc(slices.Clone(all), func(m hit) bool { return m.by != by })
}

// agreed is the member that all matches mean.
func agreed(matches []hit) Match {
	if len(matches) == 0 {
		return Match{}
	}
	first := matches[0]
	for _, m := range matches[1:] {
		if m.member != first.member {
			return Match{}
		}
		if m.by < first.by { // the same in every run
			first = m
		}
	}
	return Match{Name: first.member, Member: true, By: first.by, Weak: first.weak}
}

// strong finds the names and addresses in a text that mean one member. A word within a longer one that is known too is not a match: node
// "worker" in "worker.eu.example".
func (t *Tokens) strong(text []byte) []hit {
	var words []hit
	for word, tk := range t.words {
		if tk.weak {
			continue
		}
		for at := range wordsIn(text, word) {
			words = append(words, hit{tk, at, at + len(word)})
		}
	}
	slices.SortFunc(words, func(a, b hit) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end)) })
	var out []hit
	end := -1
	for _, m := range words {
		if m.end <= end {
			continue
		}
		end = m.end
		if !m.twice {
			out = append(out, m)
		}
	}
	if len(t.addrs) > 0 {
		for addr := range addressesIn(text) {
			if tk, ok := t.addrs[addr]; ok && !tk.twice {
				out = append(out, hit{token: tk})
			}
		}
	}
	return out
}
