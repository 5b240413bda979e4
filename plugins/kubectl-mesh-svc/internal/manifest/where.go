package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// problem is what the YAML parser says: a text and, for some, a line.
type problem struct {
	line int
	text string
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// decode returns the documents of a file, or what is wrong with it.
func decode(raw []byte) ([]*yaml.Node, *problem) {
	var docs []*yaml.Node
	for dec := yaml.NewDecoder(bytes.NewReader(raw)); ; {
		n := &yaml.Node{}
		err := dec.Decode(n)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			p := &problem{text: err.Error()}
			if m := yamlLine.FindStringSubmatch(p.text); m != nil {
				p.line, _ = strconv.Atoi(m[1])
				p.text = m[2]
			}
			return nil, p
		}
		docs = append(docs, n)
	}
}

// What the parser also says of a file that only ends too early.
const (
	noBrace   = "did not find expected ',' or '}'"
	noBracket = "did not find expected ',' or ']'"
	noValue   = "did not find expected node content"
	noQuote   = "found unexpected end of stream"
)

// continuation continues the text where the parser needs more, so that its error changes if only that is missing.
var continuation = map[string]string{noBrace: ",", noBracket: ",", noValue: `""`}

// where returns the line of a problem: the first up to which the parser says the same, whatever follows. Its own line is that of the
// block or bracket around the problem, or one less, or none (go.yaml.in/yaml/v3.0.4, decode.go, parser.fail).
func (p *problem) where(raw []byte) int {
	raw = bytes.TrimRight(raw, " \t\r\n")
	lines := newText(raw).lines
	same := func(n int) bool {
		part := raw
		if n < len(lines) {
			part = raw[:lines[n]]
		}
		_, other := decode([]byte(string(part) + "\n" + continuation[p.text]))
		return other != nil && other.text == p.text
	}
	if p.text == noQuote { // here it is right, and the last line for a quote in the first
		if p.line > 1 && !same(p.line-1) {
			return p.line
		}
		return 1
	}
	if !same(len(lines)) {
		return len(lines) // the file ends too early
	}
	return 1 + sort.Search(len(lines)-1, func(i int) bool { return same(i + 1) })
}

// refuse returns the error of a file: what is wrong, where, and how to fix it.
func (p *problem) refuse(file string, raw []byte) error {
	e := &Error{File: file, Line: p.where(raw), Text: "this is not valid YAML: " + p.text, Kind: NotYAML}
	if opened := p.line + 1; p.line > 0 && opened < e.Line && (p.text == noBrace || p.text == noBracket) {
		e.Text += fmt.Sprintf(", opened in line %d", opened)
	}
	switch {
	case bytes.Contains(raw, []byte(templateMark)):
		e.Kind, e.Text = Template, e.Text+templateHint
	case twice(raw):
		e.Text = "a second JSON document begins here, but a file can have only one: put --- between them, or make them items of a List"
	}
	return e
}

// templateMark begins what a template of Go, Helm or Jinja fills in.
const templateMark = "{{"

// templateHint says what to do about a file that becomes a manifest.
const templateHint = "; it looks like a template: edit the rendered manifest, or set the annotations in the values"

// yttMark begins what ytt fills in. It is a comment, so that the file is YAML.
var yttMark = regexp.MustCompile(`(?m)(^|\s)#@`)

// isTemplate reports whether a document that is YAML becomes a manifest.
func isTemplate(document []byte) bool {
	return bytes.Contains(document, []byte(templateMark)) || yttMark.Match(document)
}

// twice reports whether one JSON document follows another.
func twice(raw []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var first json.RawMessage
	return dec.Decode(&first) == nil && strings.HasPrefix(strings.TrimSpace(string(raw[dec.InputOffset():])), "{")
}
