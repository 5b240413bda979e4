package origin

import (
	"bytes"
	"cmp"
	"net/netip"
	"regexp"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// The kinds of tokens, the strongest evidence first. Only a pod knows its name. Its address may also be in a reply as that of a client. A
// node has many pods. Names of clusters and contexts are often words of a language.
const (
	ByPod     = "pod name"
	ByIP      = "pod IP"
	ByNode    = "node name"
	ByCluster = "cluster name"
	ByContext = "context name"
)

// BySocket is the address of a pod to which the socket of a connection leads, as the client pod's kernel shows it.
const BySocket = "socket"

// Tokens are words and addresses that identify one member: names and addresses of the Service's pods, names of their nodes, names of the
// member. Those of several members are kept too, so that Merge does not make one of them unique again.
type Tokens struct {
	words map[string]token     // names of pods, nodes, clusters and contexts
	addrs map[netip.Addr]token // of pods, unmapped and without a zone
	found *found
}

type token struct {
	member string
	by     string
	weak   bool
	shared bool // several members have it, such as pod web-0 of a StatefulSet in each cluster
	open   bool // a cluster that was not read may have it too
	sent   bool // the clients send it, so that a server which repeats the request sends it back
	late   bool // shared, and identified one member before
}

// unique reports whether only one member can have it.
func (tk token) unique() bool { return !tk.shared && !tk.open && !tk.sent }

// generated is a name that Kubernetes generated: its end is random, so that no other cluster has the same. The characters are those of
// apimachinery's util/rand. Names of StatefulSets' pods (web-0), of pods that a person or an operator named, and of nodes are not random.
var generated = regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{5}$`)

// NewTokens collects the words of a Service's endpoints in each member. If a cluster that may answer is unread, names that it may have too identify
// nobody. Addresses of pods are unique in a mesh.
func NewTokens(snap *routing.Snapshot, key routing.Key, unread ...string) *Tokens {
	t := &Tokens{words: map[string]token{}, addrs: map[netip.Addr]token{}, found: &found{}}
	open := len(unread) > 0
	for i := range snap.Clusters {
		c := &snap.Clusters[i]
		if svc := c.Services[key]; svc != nil {
			for _, e := range svc.Endpoints {
				t.word(e.Pod, token{member: c.Name, by: ByPod, weak: isPlainWord(e.Pod), open: open && !generated.MatchString(e.Pod)})
				t.word(e.Node, token{member: c.Name, by: ByNode, weak: isPlainWord(e.Node), open: open})
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

// Merge returns the tokens of both. A word of two members identifies neither.
func (t *Tokens) Merge(o *Tokens) *Tokens {
	out := &Tokens{words: map[string]token{}, addrs: map[netip.Addr]token{}, found: &found{}}
	for _, from := range []*Tokens{t, o} {
		for text, tk := range from.words {
			out.word(text, tk)
		}
		for addr, tk := range from.addrs {
			out.addr(addr, tk)
		}
	}
	markLate(t.words, out.words)
	markLate(t.addrs, out.addrs)
	return out
}

// markLate marks the tokens that identified one member before, and now are those of several.
func markLate[K comparable](before, now map[K]token) {
	for text, had := range before {
		if tk := now[text]; had.unique() && tk.shared {
			tk.late = true
			now[text] = tk
		}
	}
}

// late returns an example for each kind of name that identified one member until a second one had it.
func (t *Tokens) late() map[string]string {
	out := map[string]string{}
	note := func(text string, tk token) {
		if had, ok := out[tk.by]; tk.late && (!ok || text < had) { // so that the example is the same in every run
			out[tk.by] = text
		}
	}
	for text, tk := range t.words {
		note(text, tk)
	}
	for addr, tk := range t.addrs {
		note(addr.String(), tk)
	}
	return out
}

func (t *Tokens) word(text string, tk token) {
	if text == "" {
		return
	}
	if addr, err := netip.ParseAddr(text); err == nil { // some providers use addresses as names of nodes
		t.addr(addr, tk)
		return
	}
	t.words[text] = merge(t.words[text], tk)
}

func (t *Tokens) addr(addr netip.Addr, tk token) {
	tk.weak, tk.open = false, false // an address is not a word of a language, and no two clusters have it
	addr = addr.Unmap().WithZone("")
	t.addrs[addr] = merge(t.addrs[addr], tk)
}

// merge combines two tokens with the same text. The weaker one counts.
func merge(had, tk token) token {
	if had.member == "" {
		return tk
	}
	had.open, tk.open = had.open || tk.open, had.open || tk.open
	had.sent, tk.sent = had.sent || tk.sent, had.sent || tk.sent
	switch {
	case had.member != tk.member, had.shared, tk.shared:
		had.shared = true
	case tk.weak && !had.weak:
		return tk
	}
	return had
}

// isPlainWord reports whether a name consists only of letters, so that it may be in a sentence by chance.
func isPlainWord(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) {
			return false
		}
	}
	return true
}

// hit is a token that was found in a reply.
type hit struct {
	token
	start, end int
	addr       netip.Addr // if it is an address
}

// find returns which member sent a reply. Strong evidence decides alone: the name of a pod, else its address, else the name of a node. Without
// strong evidence, names of clusters and contexts count where a program writes them. If evidence of one rank identifies two members, the
// sender is unknown. An address of the client pod (own) is not evidence: a server may print who called it.
func (t *Tokens) find(r *reply.Reply, own []netip.Addr) Match {
	strong := slices.Clip(t.strong(r.Body))
	for _, line := range r.Header {
		name, value, ok := reply.SplitHeader(line)
		if !ok {
			continue
		}
		found := t.strong([]byte(value))
		if len(found) > 0 && callerKey.MatchString(name) { // an address in such a header is the caller's; the name of a pod may be in any header
			found = slices.DeleteFunc(slices.Clone(found), func(h hit) bool { return h.by == ByIP })
		}
		strong = append(strong, found...)
	}
	if isOwn := func(h hit) bool { return slices.Contains(own, h.addr) }; slices.ContainsFunc(strong, isOwn) {
		strong = slices.DeleteFunc(slices.Clone(strong), isOwn)
	}
	for _, by := range []string{ByPod, ByIP, ByNode} {
		if rank := keep(strong, by); len(rank) > 0 {
			return agreed(rank)
		}
	}
	return agreed(t.weakIn(r))
}

// connectedTo returns which member has the pod with an address.
func (t *Tokens) connectedTo(addr netip.Addr) Match {
	tk, ok := t.addrs[addr.Unmap().WithZone("")]
	if !ok || tk.shared {
		return Match{}
	}
	return Match{Name: tk.member, Member: true, By: BySocket}
}

// undecided returns what would identify the sender of a reply.
func (t *Tokens) undecided(r *reply.Reply, own []netip.Addr) (u Undecided) {
	texts := [][]byte{r.Body}
	for _, line := range r.Header {
		if _, value, ok := reply.SplitHeader(line); ok {
			texts = append(texts, []byte(value))
		}
	}
	for _, text := range texts {
		for word, tk := range t.words {
			if (tk.open || tk.sent) && !tk.shared && len(slices.Collect(wordsIn(text, word))) > 0 {
				if tk.sent {
					u.Sent = first(u.Sent, word)
				} else {
					u.Open = first(u.Open, word)
				}
			}
		}
		for _, h := range t.strong(text) {
			if slices.Contains(own, h.addr) {
				u.Client = h.addr.String()
			}
		}
	}
	return u
}

// first returns the first of two names, so that an example is the same in every run. An empty one is none.
func first(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}

func keep(all []hit, by string) []hit {
	return slices.DeleteFunc(slices.Clone(all), func(m hit) bool { return m.by != by })
}

// agreed returns the member that all hits identify.
func agreed(matches []hit) Match {
	if len(matches) == 0 {
		return Match{}
	}
	first := matches[0]
	for _, m := range matches[1:] {
		if m.member != first.member {
			return Match{}
		}
		if m.by < first.by { // so that the result is the same in every run
			first = m
		}
	}
	return Match{Name: first.member, Member: true, By: first.by, Weak: first.weak}
}

// strong finds the names and addresses in a text that identify one member. Most texts have been searched before.
func (t *Tokens) strong(text []byte) []hit {
	return t.found.in(text, t.search)
}

// search finds the names and addresses in a text that identify one member. A word inside a longer known word is not a hit: node "worker" in
// "worker.eu.example".
func (t *Tokens) search(text []byte) []hit {
	var words []hit
	for word, tk := range t.words {
		if tk.weak {
			continue
		}
		for at := range wordsIn(text, word) {
			words = append(words, hit{token: tk, start: at, end: at + len(word)})
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
		if m.unique() {
			out = append(out, m)
		}
	}
	if len(t.addrs) > 0 {
		for at, addr := range addressesIn(text) {
			if tk, ok := t.addrs[addr]; ok && tk.unique() && !callerKey.MatchString(keyBefore(bytes.TrimRight(text[:at], "["))) {
				out = append(out, hit{token: tk, addr: addr})
			}
		}
	}
	return out
}
