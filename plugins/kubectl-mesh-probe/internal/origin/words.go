package origin

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// standardHeaders have values with a meaning of their own, such as a language, a cookie or an address. A word in them is not the name of a cluster.
var standardHeaders = []string{
	"accept", "accept-ch", "accept-ranges", "age", "allow", "alt-svc", "cache-control", "connection", "content-disposition", "content-encoding",
	"content-language", "content-length", "content-location", "content-range", "content-security-policy", "content-type", "date", "etag",
	"expires", "host", "keep-alive", "last-modified", "link", "location", "nel", "p3p", "permissions-policy", "pragma", "referrer-policy",
	"refresh", "report-to", "retry-after", "set-cookie", "strict-transport-security", "trailer", "transfer-encoding", "upgrade", "vary",
	"www-authenticate", "x-content-type-options", "x-frame-options", "x-xss-protection",
}

// The keys after which a name counts (cluster, node), those that describe the caller, and all that describe something else than the server
// (other).
var (
	clusterKey = regexp.MustCompile(`(?i)cluster|context`)
	nodeKey    = regexp.MustCompile(`(?i)node|host|pod`)
	callerKey  = regexp.MustCompile(`(?i)client|caller|source|origin|peer|remote|downstream|forward|real-?ip|user|your`)
	otherKey   = regexp.MustCompile(callerKey.String() + `|request|from|lang|locale|country`)
)

// named reports whether a value with this key is a name of this kind.
func (tk token) named(key string) bool {
	if otherKey.MatchString(key) {
		return false
	}
	return clusterKey.MatchString(key) || (tk.by == ByPod || tk.by == ByNode) && nodeKey.MatchString(key)
}

// weakIn finds weak names where a program writes them: in the value of a header, in a JSON value, or after a key.
func (t *Tokens) weakIn(r *reply.Reply) []hit {
	var out []hit
	value := func(s string) {
		if tk, ok := t.words[s]; ok && tk.weak && tk.unique() {
			out = append(out, hit{token: tk})
		}
	}
	for _, line := range r.Header {
		name, v, ok := reply.SplitHeader(line)
		if !ok || otherKey.MatchString(name) || slices.Contains(standardHeaders, strings.ToLower(name)) || strings.HasPrefix(strings.ToLower(name), "access-control-") {
			continue
		}
		value(v)
		for part := range strings.FieldsFuncSeq(v, func(r rune) bool { return strings.ContainsRune(",;|", r) }) {
			if part = strings.Trim(part, " \t\"'"); part != v {
				value(part)
			}
		}
		out = append(out, t.afterKey([]byte(v))...)
	}
	values, isJSON := jsonStrings(r.Body)
	if !isJSON {
		return append(out, t.afterKey(r.Body)...)
	}
	for _, v := range values {
		value(v)
		out = append(out, t.afterKey([]byte(v))...)
	}
	return out
}

// afterKey finds names in a text that follow a key, such as cluster= or "cluster":.
func (t *Tokens) afterKey(text []byte) []hit {
	var out []hit
	for word, tk := range t.words {
		if !tk.weak || !tk.unique() {
			continue
		}
		for at := range wordsIn(text, word) {
			if endsValue(text[at+len(word):]) && tk.named(keyBefore(text[:at])) {
				out = append(out, hit{token: tk})
			}
		}
	}
	return out
}

// endsValue reports whether a value ends before this text: cluster=eu is not found in cluster=eu/west.
func endsValue(rest []byte) bool {
	rest = bytes.TrimLeft(rest, ".")
	return len(rest) == 0 || strings.IndexByte(" \t\r\n\"'`,;)}]<&|", rest[0]) >= 0
}

// keyBefore returns the key of a value that begins after this text: the word before an equals sign or a colon, with the words before it that
// belong to it, as in "cluster name" and "client cluster".
func keyBefore(text []byte) string {
	const quotes = "\"'`"
	if n := len(text); n > 0 && strings.IndexByte(quotes, text[n-1]) >= 0 {
		text = text[:n-1]
	}
	text = bytes.TrimRight(text, " \t")
	if n := len(text); n == 0 || text[n-1] != '=' && text[n-1] != ':' {
		return ""
	}
	text = bytes.TrimRight(bytes.TrimRight(bytes.TrimRight(text, "=:"), " \t"), quotes)
	key, rest := lastWord(text)
	if lower := strings.ToLower(key); lower == "name" || lower == "id" || lower == "address" || lower == "ip" {
		var first string
		first, rest = lastWord(bytes.TrimRight(rest, " \t"))
		key = first + " " + key
	}
	if first, _ := lastWord(bytes.TrimRight(rest, " \t")); callerKey.MatchString(first) {
		key = first + " " + key
	}
	return key
}

// lastWord splits a text before its last word.
func lastWord(text []byte) (word string, rest []byte) {
	i := len(text)
	for i > 0 && (isWordByte(text[i-1]) || text[i-1] == '.') {
		i--
	}
	return string(text[i:]), text[:i]
}

// jsonStrings returns the string values of a JSON document, except those with a key that describes something else than the server. The document
// may be cut off. ok is false if the text is not JSON.
func jsonStrings(body []byte) (values []string, ok bool) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || strings.IndexByte(`{["`, body[0]) < 0 {
		return nil, false
	}
	type level struct {
		object, key bool // key: a key comes next
		other       bool
	}
	stack := []level{{}}
	dec := json.NewDecoder(bytes.NewReader(body))
	var syntax *json.SyntaxError
	for {
		tok, err := dec.Token()
		if err != nil {
			return values, !errors.As(err, &syntax)
		}
		top := &stack[len(stack)-1]
		if name, isString := tok.(string); isString && top.object && top.key {
			top.key = false
			top.other = stack[len(stack)-2].other || otherKey.MatchString(name)
			continue
		}
		switch v := tok.(type) {
		case json.Delim:
			switch v {
			case '{':
				stack = append(stack, level{object: true, key: true, other: top.other})
			case '[':
				stack = append(stack, level{other: top.other})
			default:
				stack = stack[:len(stack)-1]
				top = &stack[len(stack)-1]
				top.key = top.object
			}
			continue
		case string:
			if !top.other {
				values = append(values, v)
			}
		}
		top.key = top.object
	}
}

// wordsIn finds a word in a text where it is not part of another word: us, but not in us-worker or status. A dot ends a word, except between two
// digits.
func wordsIn(text []byte, word string) iter.Seq[int] {
	return func(yield func(int) bool) {
		for from := 0; ; {
			i := bytes.Index(text[from:], []byte(word))
			if i < 0 {
				return
			}
			start, end := from+i, from+i+len(word)
			if !inWord(text, start-1, -1, isDigit(word[0])) && !inWord(text, end, +1, isDigit(word[len(word)-1])) && !yield(start) {
				return
			}
			from = start + 1
		}
	}
}

// inWord reports whether the byte at i belongs to the word next to it.
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

// addressesIn finds the IP addresses in a text, in any spelling, and where they begin. An address that is part of a longer word does not count.
func addressesIn(text []byte) iter.Seq2[int, netip.Addr] {
	inAddress := func(c byte) bool { return isWordByte(c) || c == '.' || c == ':' || c == '%' }
	return func(yield func(int, netip.Addr) bool) {
		for i := 0; i < len(text); i++ {
			if !inAddress(text[i]) {
				continue
			}
			start := i
			for i < len(text) && inAddress(text[i]) {
				i++
			}
			if addr, ok := parseAddress(string(text[start:i])); ok && !yield(start, addr) {
				return
			}
		}
	}
}

// parseAddress reads an address. It may have a port or a zone, follow a key, or end a sentence.
func parseAddress(s string) (netip.Addr, bool) {
	s = strings.TrimRight(s, ".")
	if !strings.HasSuffix(s, "::") {
		s = strings.TrimSuffix(s, ":")
	}
	if !strings.HasPrefix(s, "::") {
		s = strings.TrimPrefix(s, ":")
	}
	if !strings.ContainsAny(s, ".:") {
		return netip.Addr{}, false
	}
	if addr, ok := withPort(s); ok {
		return addr, true
	}
	// A key contains a letter that an address cannot contain.
	key, rest, found := strings.Cut(s, ":")
	if !found || !strings.ContainsFunc(key, func(r rune) bool { return r == '_' || r == '-' || r > 'f' || r > 'F' && r < 'a' }) {
		return netip.Addr{}, false
	}
	return withPort(rest)
}

// withPort reads an address. An IPv4 address may have a port. The port of an IPv6 address follows a bracket, which is not part of the text.
func withPort(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 || !strings.Contains(s[:i], ".") || len(s)-i > 6 || strings.Trim(s[i+1:], "0123456789") != "" {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(s[:i])
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isWordByte(c byte) bool { return isDigit(c) || isLetter(c) || c == '-' || c == '_' || c >= 0x80 }
