package view

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// curvesUpTo is the largest number of clusters for which the SVG draws curves. For more, a table of cells is easier to read.
const curvesUpTo = 6

// Sizes in pixels.
const (
	margin    = 24
	titleAt   = 40
	top       = 84 // of the first box
	lineStep  = 20 // between two edges at a box
	boxGap    = 22
	minBox    = 48
	charWidth = 7.4 // of 13px Helvetica or Arial, on the wide side
	middle    = 380 // between the two columns of boxes
	cellWidth = 72
	cellStep  = 30
)

// palette distinguishes the client clusters, also for colour-blind readers (Okabe and Ito), and is dark enough on white.
var palette = [curvesUpTo]string{"#0072b2", "#b85c00", "#007a5a", "#a3477f", "#4a4a4a", "#8a6d00"}

// svg collects the elements of a picture.
type svg struct{ bytes.Buffer }

// SVG draws the graph as a self-contained picture: clusters as boxes with curves from the clients to the endpoints. For many
// clusters it draws a table of cells; a larger share has a darker cell.
func SVG(doc v1alpha1.MeshGraph) string {
	p := newPicture(doc)
	var body svg
	var width, height int
	if len(p.clients) <= curvesUpTo {
		width, height = body.curves(p)
	} else {
		width, height = body.cells(p)
	}
	width = max(width, margin*2+textWidth(p.title)*5/4)
	var out svg
	_, _ = fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="Helvetica, Arial, sans-serif" font-size="13">`+"\n", width, height, width, height)
	_, _ = fmt.Fprintf(&out, "<title>%s</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", svgText(p.title), width, height)
	out.text(margin, titleAt, p.title, `font-size="17" font-weight="bold" fill="#1f2328"`)
	_, _ = body.WriteTo(&out) // writing to a buffer never fails
	out.WriteString("</svg>\n")
	return out.String()
}

func (s *svg) text(x, y int, text, attributes string) {
	_, _ = fmt.Fprintf(s, "<text x=\"%d\" y=\"%d\" %s>%s</text>\n", x, y, attributes, svgText(text))
}

// curves draws two columns of boxes. Every edge has its own place at both boxes, so that labels never overlap.
func (s *svg) curves(p picture) (width, height int) {
	boxes := func(nodes []node, edges []int) (tops, heights []int, wide, end int) {
		y := top
		for i, n := range nodes {
			h := max(minBox, (edges[i]+1)*lineStep)
			tops, heights = append(tops, y), append(heights, h)
			wide = max(wide, textWidth(n.name)+40, textWidth(n.note)+40)
			y += h + boxGap
		}
		return tops, heights, wide, y
	}
	out, in := make([]int, len(p.clients)), make([]int, len(p.servers))
	for _, l := range p.edges {
		out[l.from]++
		in[l.to]++
	}
	fromTop, fromHeight, fromWide, fromEnd := boxes(p.clients, out)
	toTop, toHeight, toWide, toEnd := boxes(p.servers, in)
	left := margin + fromWide
	right := left + middle
	s.text(margin, top-14, "Clients in", `fill="#57606a"`)
	s.text(right, top-14, "Endpoints in", `fill="#57606a"`)

	started, ended := make([]int, len(p.clients)), make([]int, len(p.servers))
	for _, l := range p.edges {
		y1 := place(fromTop[l.from], fromHeight[l.from], out[l.from], started[l.from])
		y2 := place(toTop[l.to], toHeight[l.to], in[l.to], ended[l.to])
		started[l.from]++
		ended[l.to]++
		colour, stroke := palette[l.from], fmt.Sprintf(`stroke-width="%.1f"`, 1.2+3*l.share)
		switch {
		case l.unknown:
			stroke = `stroke-width="1.4" stroke-dasharray="6 4"`
		case l.unused:
			colour, stroke = "#8c959f", `stroke-width="1.2" stroke-dasharray="1 4"`
		}
		// The label is on a straight piece. A curve follows it.
		begin := left + 150
		_, _ = fmt.Fprintf(s, "<path d=\"M%d %d H%d C%d %d %d %d %d %d\" fill=\"none\" stroke=\"%s\" %s/>\n", left, y1, begin, begin+90, y1, right-100, y2, right-8, y2, colour, stroke)
		_, _ = fmt.Fprintf(s, "<path d=\"M%d %d l-9 -4.5 v9 z\" fill=\"%s\"/>\n", right-1, y2, colour)
		s.label(left+8, y1, l, colour)
	}
	for i, n := range p.clients {
		s.box(margin, fromTop[i], fromWide, fromHeight[i], n, palette[i])
	}
	for i, n := range p.servers {
		s.box(right, toTop[i], toWide, toHeight[i], n, "#57606a")
	}
	return right + toWide + margin, max(fromEnd, toEnd) - boxGap + margin
}

// place returns the height at which the nth of several edges meets a box.
func place(boxTop, height, edges, n int) int { return boxTop + height*(n+1)/(edges+1) }

// label writes the label of an edge on a white background, so that the line does not cross it out.
func (s *svg) label(x, y int, l line, colour string) {
	if l.unused {
		colour = "#57606a"
	}
	_, _ = fmt.Fprintf(s, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"16\" fill=\"#ffffff\"/>\n", x, y-8, textWidth(l.label)*11/13+12)
	s.text(x+3, y+4, l.label, fmt.Sprintf(`font-size="12" fill="%s"`, colour))
}

func (s *svg) box(x, y, width, height int, n node, colour string) {
	dash := ""
	if n.unread {
		dash = ` stroke-dasharray="5 4"`
	}
	_, _ = fmt.Fprintf(s, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\" fill=\"#f6f8fa\" stroke=\"%s\" stroke-width=\"1.6\"%s/>\n", x, y, width, height, colour, dash)
	at := y + height/2 + 5
	if n.note != "" {
		s.text(x+width/2, at+9, n.note, `text-anchor="middle" font-size="12" fill="#57606a"`)
		at -= 9
	}
	s.text(x+width/2, at, n.name, `text-anchor="middle" font-weight="bold" fill="#1f2328"`)
}

// cells draws a table: one row for the clients and one column for the endpoints of each cluster.
func (s *svg) cells(p picture) (width, height int) {
	first, tall, wide := textWidth("Clients in"), 0, cellWidth
	for i := range p.clients {
		first = max(first, textWidth(withNote(p.clients[i].name, p.clients[i].note)))
		tall = max(tall, textWidth(withNote(p.servers[i].name, p.servers[i].note)))
	}
	for _, l := range p.edges {
		wide = max(wide, textWidth(l.label)+10)
	}
	left, header := margin+first+16, top+tall*7/10
	s.text(margin, header-10, "Clients in", `fill="#57606a"`)
	s.text(left, titleAt+22, "Endpoints in", `fill="#57606a"`)
	for i := range p.servers {
		x := left + i*wide + wide/2
		s.text(x, header-10, withNote(p.servers[i].name, p.servers[i].note), fmt.Sprintf(`transform="rotate(-40 %d %d)" font-weight="bold" fill="#1f2328"`, x, header-10))
		y := header + i*cellStep
		s.text(margin, y+19, withNote(p.clients[i].name, p.clients[i].note), `font-weight="bold" fill="#1f2328"`)
		for j := range p.servers {
			if p.clients[i].unread {
				s.cell(left+j*wide, y, wide, "#f0f0f0", "#57606a", "?")
				continue
			}
			s.cell(left+j*wide, y, wide, "#ffffff", "#8c959f", "-")
		}
	}
	for _, l := range p.edges {
		fill, ink := shade(l.share)
		if l.unknown {
			fill, ink = "#f0f0f0", "#57606a"
		}
		s.cell(left+l.to*wide, header+l.from*cellStep, wide, fill, ink, l.label)
	}
	return left + len(p.servers)*wide + margin + tall*8/10, header + len(p.clients)*cellStep + margin
}

func (s *svg) cell(x, y, wide int, fill, ink, text string) {
	_, _ = fmt.Fprintf(s, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\" stroke=\"#d0d7de\"/>\n", x, y, wide, cellStep, fill)
	s.text(x+wide/2, y+19, text, fmt.Sprintf(`text-anchor="middle" font-size="12" fill="%s"`, ink))
}

// shade returns a colour from white to dark blue, and a readable text colour for it.
func shade(share float64) (fill, ink string) {
	mix := func(from, to int) int { return from + int(float64(to-from)*share) }
	fill = fmt.Sprintf("#%02x%02x%02x", mix(0xe8, 0x0b), mix(0xf1, 0x4f), mix(0xfa, 0x8a))
	if share > 0.45 {
		return fill, "#ffffff"
	}
	return fill, "#1f2328"
}

func withNote(name, note string) string {
	if note == "" {
		return name
	}
	return name + " (" + note + ")"
}

// textWidth estimates the width of text without a font. Wide characters count twice.
func textWidth(s string) int {
	w := 0.0
	for _, r := range s {
		if w += charWidth; r >= 0x1100 {
			w += charWidth
		}
	}
	return int(w)
}

// svgText escapes text for an element. It drops control characters, which XML 1.0 forbids.
func svgText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(output.Clean(s))) // writing to a builder never fails
	return b.String()
}
