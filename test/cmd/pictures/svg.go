package main

import (
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// theme has the colours of a picture: those of GitHub's pages, so that a picture fits there.
type theme struct {
	name, background, border, text string
	colours                        map[string]string // by the parameter of the escape sequence (SGR)
}

var themes = []theme{
	{"light", "#ffffff", "#d0d7de", "#1f2328", map[string]string{"31": "#cf222e", "32": "#1a7f37", "33": "#9a6700", "36": "#1b7c83"}},
	{"dark", "#0d1117", "#30363d", "#e6edf3", map[string]string{"31": "#ff7b72", "32": "#3fb950", "33": "#d29922", "36": "#39c5cf"}},
}

// The size of a character, in pixels, and the space around the text.
const (
	cellWidth, lineHeight, fontSize, margin = 7.8, 18, 13, 16
)

// piece is text of one colour on one line.
type piece struct {
	column int
	text   string
	colour string // the parameter of the escape sequence, "" for the default
}

var (
	sgr = regexp.MustCompile("\x1b\\[([0-9;]*)m")
	// start is how a line begins that replaces the one before it.
	start = regexp.MustCompile("^(?:\r|\x1b\\[J)+")
	up    = regexp.MustCompile("^(?:\x1b\\[J)*\x1b\\[([0-9]+)A(?:\x1b\\[J)*")
)

// lastLines returns the lines that a terminal shows at the end: a progress line goes up and replaces what it wrote before.
func lastLines(screen string) []string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimRight(strings.ReplaceAll(screen, "\r\n", "\n"), "\n"), "\n") {
		if m := up.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1]) // digits
			out = out[:max(0, len(out)-n)]
			line = line[len(m[0]):]
		}
		out = append(out, start.ReplaceAllString(line, ""))
	}
	return out
}

// parse reads what a terminal got. Anything but text and colours would make the picture untrue, and is an error.
func parse(screen string) ([][]piece, error) {
	var out [][]piece
	colour := ""
	for _, line := range lastLines(screen) {
		var pieces []piece
		column, at := 0, 0
		add := func(text string) {
			if text != "" {
				pieces = append(pieces, piece{column, text, colour})
				column += utf8.RuneCountInString(text)
			}
		}
		for _, m := range sgr.FindAllStringSubmatchIndex(line, -1) {
			add(line[at:m[0]])
			at, colour = m[1], strings.Trim(line[m[2]:m[3]], "0")
		}
		add(line[at:])
		for _, p := range pieces {
			if strings.ContainsAny(p.text, "\x1b\r\b\t") {
				return nil, fmt.Errorf("the terminal got something that is not text or a colour: %q", p.text)
			}
		}
		out = append(out, pieces)
	}
	return out, nil
}

// render draws lines. Each piece is put at its column and stretched to its width, so that columns fit in any monospaced font.
func render(lines [][]piece, title string, th theme) (string, error) {
	columns := 0
	for _, line := range lines {
		for _, p := range line {
			columns = max(columns, p.column+utf8.RuneCountInString(p.text))
		}
	}
	width, height := float64(columns)*cellWidth+2*margin, len(lines)*lineHeight+2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" role="img" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="%d">`+"\n",
		width, height, width, height, fontSize)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect x=\"0.5\" y=\"0.5\" width=\"%.0f\" height=\"%d\" rx=\"6\" fill=\"%s\" stroke=\"%s\"/>\n", html.EscapeString(title), width-1, height-1, th.background, th.border)
	for i, line := range lines {
		for _, p := range line {
			if strings.TrimSpace(p.text) == "" {
				continue
			}
			fill := th.text
			if p.colour != "" {
				if fill = th.colours[p.colour]; fill == "" {
					return "", fmt.Errorf("colour %s has no value in theme %s", p.colour, th.name)
				}
			}
			fmt.Fprintf(&b, `<text xml:space="preserve" x="%.1f" y="%d" textLength="%.1f" fill="%s">%s</text>`+"\n", margin+float64(p.column)*cellWidth, margin+(i+1)*lineHeight-5,
				float64(utf8.RuneCountInString(p.text))*cellWidth, fill, html.EscapeString(p.text))
		}
	}
	return b.String() + "</svg>\n", nil
}
