package docs

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Page is a Markdown page of this repository.
type Page struct {
	Path    string // from the root of the repository, with slashes
	Anchors map[string]bool
	Links   []Link
	Blocks  []Block
	Spans   []Span // code in the text
}

// Link is a link or a picture.
type Link struct {
	Line   int
	Target string
}

// Span is code between backquotes.
type Span struct {
	Line int
	Text string
}

// Block is a fenced block.
type Block struct {
	Line    int    // of its first fence
	Heading string // the nearest heading above it
	Info    string // what follows the fence, such as sh, console, or sh not-run:docker
	Lines   []string
}

var (
	heading = regexp.MustCompile(`^#{1,6} (.+)$`)
	fence   = regexp.MustCompile("^ *```(.*)$")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)
	span    = regexp.MustCompile("`([^`]+)`")
	// A command that the next block takes for granted. Readers do not see it.
	setup = regexp.MustCompile(`^<!-- lab: (.+) -->$`)
)

// Parse reads a page. A block that is not closed ends with the page.
func Parse(path, text string) Page {
	p := Page{Path: path, Anchors: map[string]bool{}}
	var block *Block
	above := ""
	for i, line := range strings.Split(text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case block != nil && m != nil:
			p.Blocks, block = append(p.Blocks, *block), nil
		case block != nil:
			block.Lines = append(block.Lines, line)
		case m != nil:
			block = &Block{Line: i + 1, Heading: above, Info: strings.TrimSpace(m[1])}
		case setup.MatchString(line):
			p.Blocks = append(p.Blocks, Block{Line: i, Heading: above, Info: "sh", Lines: setup.FindStringSubmatch(line)[1:]})
		default:
			if h := heading.FindStringSubmatch(line); h != nil {
				above = h[1]
				p.anchor(above)
			}
			p.inline(i+1, line)
		}
	}
	if block != nil {
		p.Blocks = append(p.Blocks, *block)
	}
	return p
}

// inline finds the links and the code of a line. A link in code is not a link.
func (p *Page) inline(number int, line string) {
	for _, m := range span.FindAllStringSubmatch(line, -1) {
		p.Spans = append(p.Spans, Span{number, m[1]})
	}
	for _, m := range link.FindAllStringSubmatch(span.ReplaceAllString(line, ""), -1) {
		p.Links = append(p.Links, Link{number, m[1] + m[2]})
	}
}

// anchor adds the anchor of a heading; the second heading with a text gets -1, the third -2.
func (p *Page) anchor(text string) {
	name := Anchor(text)
	for n := 1; p.Anchors[name]; n++ {
		name = Anchor(text) + "-" + strconv.Itoa(n)
	}
	p.Anchors[name] = true
}

// Anchor is the name that GitHub gives to a heading: in lower case, with hyphens for blanks, and of other characters only letters, digits, hyphens and underscores.
func Anchor(heading string) string {
	heading = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(heading, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}
