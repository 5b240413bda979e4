package view

import (
	"fmt"
	"strings"
	"unicode"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// MermaidEdges is the default of mermaid's maxEdges: the number of edges that it draws.
const MermaidEdges = 500

// picture is a graph before it is formatted. Names are not escaped.
type picture struct {
	title   string
	clients []node
	servers []node
	edges   []line
}

// node is one cluster, as a client or as a server.
type node struct {
	name, note string
	unread     bool
}

// line is an edge from clients[from] to servers[to].
type line struct {
	from, to int
	share    float64
	label    string
	unknown  bool
	unused   bool
}

// unusedUpTo is the largest number of clusters for which unused pairs are drawn too, with their reason. In a larger mesh
// they would hide the used pairs.
const unusedUpTo = 4

// newPicture selects what to draw.
func newPicture(doc v1alpha1.MeshGraph) picture {
	p := picture{title: graphTitle(doc)}
	index := map[string]int{}
	one := len(doc.Services) == 1
	for i, c := range doc.Clusters {
		index[c.Name] = i
		p.clients = append(p.clients, node{c.Name, clientNote(c, one), !c.Read})
		p.servers = append(p.servers, node{c.Name, serverNote(c), !c.Read})
	}
	for _, e := range doc.Edges {
		l := line{from: index[e.From], to: index[e.To], share: ptr.Deref(e.Share, 0), label: edgeLabel(e, one)}
		switch {
		case e.Services == 0 && e.Unknown > 0:
			l.unknown = true
		case e.Services == 0 && (!one || len(doc.Clusters) > unusedUpTo):
			continue
		case e.Services == 0:
			l.unused = true
		}
		p.edges = append(p.edges, l)
	}
	return p
}

// MermaidLines counts the edges of the mermaid graph.
func MermaidLines(doc v1alpha1.MeshGraph) int { return len(newPicture(doc).edges) }

func graphTitle(doc v1alpha1.MeshGraph) string {
	if len(doc.Services) == 1 {
		return fmt.Sprintf("Who serves whom: service %s/%s", doc.Services[0].Namespace, doc.Services[0].Name)
	}
	return fmt.Sprintf("Who serves whom: %s", Count(len(doc.Services), "service"))
}

// Count returns a number with its noun in the right form.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func clientNote(c v1alpha1.GraphCluster, one bool) string {
	switch {
	case !c.Read:
		return "could not be read"
	case c.Services == 0 && one:
		return "no such Service"
	case c.Proxied > 0 && one:
		return "its L7 proxy answers"
	case c.Unserved > 0 && one:
		return "Cilium does not serve it"
	case c.Unanswered > 0 && one:
		return "nobody answers"
	case c.Uncertain > 0 && one:
		return "prediction not certain"
	case one:
		return ""
	}
	note := Count(c.Services, "service")
	for _, n := range []struct {
		count int
		what  string
	}{
		{c.Proxied, "answered by its L7 proxy"},
		{c.Unserved, "not served by Cilium"},
		{c.Unanswered, "answered by nobody"},
		{c.Uncertain, "not certain"},
	} {
		if n.count > 0 {
			note += fmt.Sprintf(", %d %s", n.count, n.what)
		}
	}
	return note
}

func serverNote(c v1alpha1.GraphCluster) string {
	if !c.Read {
		return "could not be read"
	}
	return fmt.Sprintf("%d ready", c.ReadyEndpoints)
}

// edgeLabel shows the share, or its range if one Service has several shares. For many Services it shows their number and the mean.
// If a cluster that was not read may answer too, it is an upper bound.
func edgeLabel(e v1alpha1.GraphEdge, one bool) string {
	share := Percent(ptr.Deref(e.Share, 0))
	switch {
	case one && e.Bounded:
		share = "up to " + Percent(e.High)
	case e.Bounded:
		share = "up to " + share
	case one && Percent(e.Low) != Percent(e.High):
		share = Percent(e.Low) + " to " + Percent(e.High)
	}
	switch {
	case e.Services == 0 && e.Unknown > 0:
		return "?"
	case e.Services == 0 && e.Code == "":
		return "not used"
	case e.Services == 0:
		return strings.ReplaceAll(e.Code, "-", " ")
	case !one:
		share = fmt.Sprintf("%s of %s", share, Count(e.Services, "service"))
	}
	if e.Unknown > 0 {
		share += ", ?"
	}
	return share
}

// Mermaid draws the graph as a mermaid flowchart. GitHub and GitLab render it in Markdown, in a block with the language mermaid.
func Mermaid(doc v1alpha1.MeshGraph) string {
	p := newPicture(doc)
	var b strings.Builder
	// The title is the label of the endpoints. A title in front matter is YAML, which not every mermaid renderer supports.
	b.WriteString("flowchart LR\n")
	side := func(id, title, prefix string, nodes []node) {
		fmt.Fprintf(&b, "  subgraph %s[\"%s\"]\n    direction TB\n", id, mermaidText(title))
		for i, n := range nodes {
			label := mermaidText(n.name)
			if n.note != "" {
				label += "<br/>" + mermaidText(n.note)
			}
			fmt.Fprintf(&b, "    %s%d[\"%s\"]\n", prefix, i, label)
			if n.unread {
				fmt.Fprintf(&b, "    style %s%d stroke-dasharray: 4 4\n", prefix, i)
			}
		}
		b.WriteString("  end\n")
	}
	side("clients", "Clients in", "c", p.clients)
	side("endpoints", strings.TrimPrefix(p.title, "Who serves whom: ")+", endpoints in", "e", p.servers)
	for _, l := range p.edges {
		arrow := "-->"
		if l.unknown || l.unused {
			arrow = "-.->"
		}
		fmt.Fprintf(&b, "  c%d %s|\"%s\"| e%d\n", l.from, arrow, mermaidText(l.label), l.to)
	}
	return b.String()
}

// mermaidText escapes text for mermaid: it writes every character as a number, except letters, digits and a few safe characters.
// Quotes would end a label, backticks would make it Markdown, and %% would begin a comment or a directive. A % after a digit is safe.
func mermaidText(s string) string {
	var b strings.Builder
	last := rune(0)
	for _, r := range output.Clean(s) {
		percent := r == '%' && unicode.IsDigit(last)
		last = r
		if percent || r == ' ' || r == '?' || r == '.' || r == ',' || r == '-' || r == '/' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "#%d;", r)
	}
	return b.String()
}

// Dot draws the graph for Graphviz.
func Dot(doc v1alpha1.MeshGraph) string {
	p := newPicture(doc)
	var b strings.Builder
	fmt.Fprintf(&b, "digraph mesh {\n  graph [rankdir=LR, ranksep=1.6, nodesep=0.35, labelloc=t, fontname=\"Helvetica\", label=%s];\n", dotText(p.title))
	b.WriteString("  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"Helvetica\"];\n  edge [fontname=\"Helvetica\", fontsize=11];\n")
	side := func(id, title, prefix string, nodes []node) {
		fmt.Fprintf(&b, "  subgraph cluster_%s {\n    label=%s; color=\"#c8ccd0\";\n", id, dotText(title))
		for i, n := range nodes {
			label, style := n.name, ""
			if n.note != "" {
				label += "\n" + n.note
			}
			if n.unread {
				style = ", style=\"rounded,filled,dashed\""
			}
			fmt.Fprintf(&b, "    %s%d [label=%s%s];\n", prefix, i, dotText(label), style)
		}
		b.WriteString("  }\n")
	}
	side("clients", "Clients in", "c", p.clients)
	side("endpoints", "Endpoints in", "e", p.servers)
	for _, l := range p.edges {
		style := fmt.Sprintf("penwidth=%.1f", 1+3*l.share)
		switch {
		case l.unknown:
			style = "style=dashed, color=\"#6b7280\""
		case l.unused:
			style = "style=dotted, color=\"#9aa0a6\", fontcolor=\"#6b7280\""
		}
		fmt.Fprintf(&b, "  c%d -> e%d [label=%s, %s];\n", l.from, l.to, dotText(l.label), style)
	}
	b.WriteString("}\n")
	return b.String()
}

// dotText quotes text for Graphviz, which interprets backslashes and HTML entities in quoted strings. Line breaks are kept.
func dotText(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `&`, `&amp;`).Replace(output.Clean(line))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}
