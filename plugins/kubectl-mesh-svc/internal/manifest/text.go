package manifest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// text is the bytes of a manifest and what is to be replaced in them.
type text struct {
	raw   []byte
	lines []int // where each line begins
	edits []replacement
}

type replacement struct {
	from, to int
	with     string
}

var (
	errWhere   = errors.New("the position that the parser reports does not match the text")
	errOverlap = errors.New("two changes overlap")
)

// newText finds the lines as the YAML parser counts them: Unicode's line ends count too.
func newText(raw []byte) *text {
	t := &text{raw: raw, lines: []int{0}}
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRune(raw[i:])
		i += size
		switch r {
		case '\r':
			if i < len(raw) && raw[i] == '\n' {
				i++
			}
		case '\n', 0x85, 0x2028, 0x2029:
		default:
			continue
		}
		t.lines = append(t.lines, i)
	}
	return t
}

// pos returns the offset of a node. Columns count characters.
func (t *text) pos(n *yaml.Node) (int, error) {
	if n.Line < 1 || n.Line > len(t.lines) {
		return 0, errWhere
	}
	at := t.lines[n.Line-1]
	for range n.Column - 1 {
		if at >= len(t.raw) {
			return 0, errWhere
		}
		_, size := utf8.DecodeRune(t.raw[at:])
		at += size
	}
	return at, nil
}

// lineOf returns where the line of an offset begins.
func (t *text) lineOf(at int) int {
	n, found := slices.BinarySearch(t.lines, at)
	if !found {
		n--
	}
	return t.lines[n]
}

// lineEnd returns where the line of an offset ends, before its line break, and where the next begins.
func (t *text) lineEnd(at int) (end, next int) {
	n, found := slices.BinarySearch(t.lines, at)
	if !found {
		n--
	}
	if n+1 == len(t.lines) {
		return len(t.raw), len(t.raw)
	}
	next = t.lines[n+1]
	return max(at, t.lines[n]+len(bytes.TrimRight(t.raw[t.lines[n]:next], "\r\n\u0085\u2028\u2029"))), next
}

// newline returns the line break that is in use around an offset.
func (t *text) newline(at int) string {
	end, next := t.lineEnd(at)
	if end == next && len(t.lines) > 1 {
		end, next = t.lineEnd(t.lines[0])
	}
	if string(t.raw[end:next]) == "\r\n" {
		return "\r\n"
	}
	return "\n"
}

// alone reports whether only blanks precede an offset in its line.
func (t *text) alone(at int) bool {
	return len(bytes.TrimLeft(t.raw[t.lineOf(at):at], " ")) == 0
}

// restBlank reports whether nothing but blanks or a comment follows an offset in its line.
func (t *text) restBlank(at int) bool {
	end, _ := t.lineEnd(at)
	rest := bytes.TrimLeft(t.raw[at:end], " \t")
	return len(rest) == 0 || rest[0] == '#' && (len(rest) < end-at || at == t.lineOf(at))
}

// end returns the offset behind a node. indent is the column, from 0, of the key that a block scalar belongs to.
func (t *text) end(n *yaml.Node, indent int) (int, error) {
	at, err := t.pos(n)
	if err != nil {
		return 0, err
	}
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
		return t.collectionEnd(n, at, indent)
	}
	if n.Kind == yaml.AliasNode {
		return t.expect(at, "*"+n.Value)
	}
	for at < len(t.raw) && (t.raw[at] == '&' || t.raw[at] == '!') { // an anchor or a tag precedes the value
		for at < len(t.raw) && !bytes.ContainsRune([]byte(" \t\r\n"), rune(t.raw[at])) {
			at++
		}
		for at < len(t.raw) && t.raw[at] == ' ' {
			at++
		}
	}
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return t.quoted(at, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return t.quoted(at, '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return t.blockEnd(at, indent), nil
	}
	return t.folded(at, n.Value)
}

// folded returns the offset behind a plain value, which may have several lines: a break with the blanks around it means one blank,
// several breaks mean one line break fewer.
func (t *text) folded(at int, value string) (int, error) {
	if to, err := t.expect(at, value); err == nil {
		return to, nil
	}
	for len(value) > 0 {
		if at >= len(t.raw) {
			return 0, errWhere
		}
		run := t.raw[at : len(t.raw)-len(bytes.TrimLeft(t.raw[at:], " \t\r\n"))]
		means := string(run)
		switch n := bytes.Count(run, []byte("\n")); {
		case len(run) == 0:
			run, means = t.raw[at:at+1], string(t.raw[at:at+1])
		case n == 1:
			means = " "
		case n > 1:
			means = strings.Repeat("\n", n-1)
		}
		if !strings.HasPrefix(value, means) {
			return 0, errWhere
		}
		at, value = at+len(run), value[len(means):]
	}
	return at, nil
}

func (t *text) expect(at int, s string) (int, error) {
	if !bytes.HasPrefix(t.raw[at:], []byte(s)) {
		return 0, errWhere
	}
	return at + len(s), nil
}

func (t *text) quoted(at int, quote byte) (int, error) {
	if at >= len(t.raw) || t.raw[at] != quote {
		return 0, errWhere
	}
	for i := at + 1; i < len(t.raw); i++ {
		switch {
		case quote == '"' && t.raw[i] == '\\':
			i++
		case t.raw[i] == quote && quote == '\'' && i+1 < len(t.raw) && t.raw[i+1] == quote:
			i++
		case t.raw[i] == quote:
			return i + 1, nil
		}
	}
	return 0, errWhere
}

// blockEnd returns the end of a block scalar: the lines that are deeper than the key, without blank ones at the end.
func (t *text) blockEnd(at, indent int) int {
	end, next := t.lineEnd(at)
	for next < len(t.raw) {
		from := next
		var stop int
		stop, next = t.lineEnd(from)
		line := t.raw[from:stop]
		trimmed := bytes.TrimLeft(line, " ")
		if len(trimmed) == 0 {
			continue
		}
		if len(line)-len(trimmed) <= indent {
			break
		}
		end = stop
	}
	return end
}

func (t *text) collectionEnd(n *yaml.Node, at, indent int) (int, error) {
	if len(n.Content) > 0 {
		last := n.Content[len(n.Content)-1]
		if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 {
			indent = n.Content[len(n.Content)-2].Column - 1
		}
		var err error
		if at, err = t.end(last, indent); err != nil || n.Style&yaml.FlowStyle == 0 {
			return at, err
		}
	} else if at++; n.Style&yaml.FlowStyle == 0 {
		return 0, errWhere
	}
	for ; at < len(t.raw); at++ {
		switch c := t.raw[at]; {
		case c == '}' || c == ']':
			return at + 1, nil
		case c == '#':
			at, _ = t.lineEnd(at)
		case !strings.ContainsRune(" \t\r\n,", rune(c)):
			return 0, errWhere
		}
	}
	return 0, errWhere
}

func (t *text) replace(from, to int, with string) {
	t.edits = append(t.edits, replacement{from, to, with})
}

// apply returns the text with everything replaced.
func (t *text) apply() ([]byte, error) {
	slices.SortStableFunc(t.edits, func(a, b replacement) int {
		if a.from != b.from {
			return a.from - b.from
		}
		return (a.to - a.from) - (b.to - b.from) // what is inserted comes before what goes
	})
	var out []byte
	at := 0
	for _, r := range t.edits {
		if r.from < at || r.to < r.from || r.to > len(t.raw) {
			return nil, errOverlap
		}
		out = append(append(out, t.raw[at:r.from]...), r.with...)
		at = r.to
	}
	return append(out, t.raw[at:]...), nil
}
