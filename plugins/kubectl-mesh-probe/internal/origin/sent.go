package origin

import (
	"net/netip"
	"strings"
)

// Sent is what the clients send with each request. A server may send any part of it back, for example in a redirect, so it does not identify one.
type Sent struct {
	// Hosts are the names by which the clients and the backends know the Service: the host of the URL, the value of a Host header, the name of the
	// Service itself.
	Hosts []string
	// Texts are the path and the query of the URL, the values of the other headers, and the data.
	Texts []string
}

// Sent returns the tokens with the mark on those that are words of what the clients send. The address of a socket still counts.
func (t *Tokens) Sent(s Sent) *Tokens {
	out := &Tokens{words: map[string]token{}, addrs: map[netip.Addr]token{}, found: &found{}}
	for word, tk := range t.words {
		tk.sent = tk.sent || s.has(word, tk)
		out.words[word] = tk
	}
	addrs := map[netip.Addr]bool{}
	for _, text := range append(s.Hosts[:len(s.Hosts):len(s.Hosts)], s.Texts...) {
		for _, addr := range addressesIn([]byte(text)) {
			addrs[addr] = true
		}
	}
	for addr, tk := range t.addrs {
		tk.sent = tk.sent || addrs[addr]
		out.addrs[addr] = tk
	}
	return out
}

// has reports whether the clients send a name. That of a cluster or a context counts only if it is the whole host: a namespace often has the same name, and
// weakIn does not find a part of a host.
func (s Sent) has(name string, tk token) bool {
	for _, host := range s.Hosts {
		if host == name || tk.by != ByCluster && tk.by != ByContext && hasWord(host, name) {
			return true
		}
	}
	for _, text := range s.Texts {
		if hasWord(text, name) {
			return true
		}
	}
	return false
}

func hasWord(text, word string) bool {
	if !strings.Contains(text, word) { // so that the text is rarely copied
		return false
	}
	for range wordsIn([]byte(text), word) {
		return true
	}
	return false
}
