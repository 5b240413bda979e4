package view

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// nasty is a name that would be syntax in every format.
const nasty = "e\"u]<b>&`%%{init}%% \\N;#1\x1b[2J"

// graphOf returns a mesh with one or several Services: every cluster answers all clients equally, and the last cluster cannot be read.
func graphOf(services int, names ...string) v1alpha1.MeshGraph {
	doc := v1alpha1.MeshGraph{}
	for i := range services {
		doc.Services = append(doc.Services, v1alpha1.GraphService{Namespace: "shop", Name: fmt.Sprintf("s%d", i)})
	}
	last := len(names) - 1
	share := 1 / float64(last)
	for i, from := range names {
		c := v1alpha1.GraphCluster{Name: from, Read: i < last}
		if c.Read {
			c.Services, c.ReadyEndpoints = services, 2*services
		}
		doc.Clusters = append(doc.Clusters, c)
		for j, to := range names {
			e := v1alpha1.GraphEdge{From: from, To: to, Services: services, Share: ptr.To(share), High: share, Bounded: true}
			switch {
			case i == last:
				continue
			case j == last:
				e.Services, e.Unknown, e.Share, e.High, e.Bounded = 0, services, nil, 1, false
			case i == 1 && j == 0:
				e.Services, e.Share, e.High, e.Bounded, e.Code = 0, ptr.To(0.0), 0, false, "affinity-local"
			}
			doc.Edges = append(doc.Edges, e)
		}
	}
	return doc
}

func goldenText(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s: %s", file, d)
	}
}

func twelve() []string {
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprintf("cluster-%02d", i+1))
	}
	return names
}

func TestGraphPictures(t *testing.T) {
	t.Parallel()
	docs := map[string]v1alpha1.MeshGraph{
		"one":    graphOf(1, "us", "eu", "ap"),
		"many":   graphOf(40, "us", "eu", "ap", "sa", "af"),
		"twelve": graphOf(1, twelve()...),
		"nasty":  graphOf(1, nasty, "us"),
	}
	for name, doc := range docs {
		for format, draw := range map[string]func(v1alpha1.MeshGraph) string{"mmd": Mermaid, "dot": Dot, "svg": SVG} {
			goldenText(t, "graph-"+name+"."+format, draw(doc))
		}
	}
}

// TestGraphCounts: a share counts the Services that have it; Services that nobody answers are counted at their clients.
func TestGraphCounts(t *testing.T) {
	t.Parallel()
	doc := v1alpha1.MeshGraph{Services: make([]v1alpha1.GraphService, 3),
		Clusters: []v1alpha1.GraphCluster{{Name: "us", Read: true, Services: 3, Unanswered: 2, ReadyEndpoints: 2}},
		Edges:    []v1alpha1.GraphEdge{{From: "us", To: "us", Services: 1, Share: ptr.To(2.0 / 3), Low: 2.0 / 3, High: 2.0 / 3}}}
	for format, draw := range map[string]func(v1alpha1.MeshGraph) string{"mermaid": Mermaid, "dot": Dot, "svg": SVG} {
		got := draw(doc)
		for _, want := range []string{"66.7% of 1 service", "3 services, 2 answered by nobody"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s does not say %q:\n%s", format, want, got)
			}
		}
	}
}

// TestEdgeLabel: if a cluster that may also answer could not be read, a share is an upper bound.
func TestEdgeLabel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edge v1alpha1.GraphEdge
		one  bool
		want string
	}{
		"one Service":               {v1alpha1.GraphEdge{Services: 1, Share: ptr.To(0.5), Low: 0.5, High: 0.5}, true, "50%"},
		"several ports":             {v1alpha1.GraphEdge{Services: 1, Share: ptr.To(0.5), Low: 0.25, High: 0.75}, true, "25% to 75%"},
		"many Services":             {v1alpha1.GraphEdge{Services: 2, Share: ptr.To(0.5), High: 1}, false, "50% of 2 services"},
		"one, beside an unread one": {v1alpha1.GraphEdge{Services: 1, Share: ptr.To(0.4), High: 0.5, Bounded: true}, true, "up to 50%"},
		"many, beside it":           {v1alpha1.GraphEdge{Services: 2, Share: ptr.To(0.5), High: 1, Bounded: true}, false, "up to 50% of 2 services"},
		"the unread one":            {v1alpha1.GraphEdge{Unknown: 1, High: 1, Code: "not-read"}, true, "?"},
		"not used":                  {v1alpha1.GraphEdge{Share: ptr.To(0.0), Code: "not-shared"}, true, "not shared"},
	} {
		if got := edgeLabel(c.edge, c.one); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestClientNote: what is counted at the clients is shown, of one Service and of many.
func TestClientNote(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]v1alpha1.GraphCluster{
		"could not be read":        {},
		"no such Service":          {Read: true},
		"its L7 proxy answers":     {Read: true, Services: 1, Proxied: 1},
		"Cilium does not serve it": {Read: true, Services: 1, Unserved: 1},
		"nobody answers":           {Read: true, Services: 1, Unanswered: 1},
		"prediction not certain":   {Read: true, Services: 1, Uncertain: 1},
		"":                         {Read: true, Services: 1},
	} {
		if got := clientNote(c, true); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	many := v1alpha1.GraphCluster{Read: true, Services: 9, Proxied: 1, Unserved: 2, Unanswered: 3, Uncertain: 4}
	if got := clientNote(many, false); got != "9 services, 1 answered by its L7 proxy, 2 not served by Cilium, 3 answered by nobody, 4 not certain" {
		t.Error(got)
	}
}

// TestMermaidLines: whatever a cluster is called, every line is one of the few that mermaid is meant to see.
func TestMermaidLines(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`^( *(flowchart LR|direction TB|end|subgraph [a-z]+\["[^"` + "`" + `<>{}\]&;]*"\]|[ce]\d+\["([^"` + "`" + `<>{}\]&]|<br/>)*"\]|style [ce]\d+ stroke-dasharray: 4 4|c\d+ (-->|-\.->)\|"[^"]*"\| e\d+))$`)
	for _, doc := range []v1alpha1.MeshGraph{graphOf(1, nasty, "us", "x\nend\n"), graphOf(3, nasty, "us")} {
		for l := range strings.SplitSeq(strings.TrimSuffix(Mermaid(doc), "\n"), "\n") {
			if !line.MatchString(l) || strings.Contains(l, "%%") {
				t.Errorf("%q", l)
			}
		}
	}
}

// TestSVGIsXML: every picture parses, has no element but ours, and shows each name as it is, but for control characters.
func TestSVGIsXML(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{nasty, "us", "eu"}, append(twelve(), nasty)} {
		d := xml.NewDecoder(strings.NewReader(SVG(graphOf(1, names...))))
		var text strings.Builder
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch x := token.(type) {
			case xml.StartElement:
				if !slices.Contains([]string{"svg", "title", "rect", "path", "text"}, x.Name.Local) {
					t.Errorf("element %s", x.Name.Local)
				}
			case xml.CharData:
				text.Write(x)
			}
		}
		if want := strings.ReplaceAll(nasty, "\x1b", ""); !strings.Contains(text.String(), want) {
			t.Errorf("%q is not shown", want)
		}
	}
}

func TestDotText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"us\n2 ready": `"us\n2 ready"`, `a"\N&b`: `"a\"\\N&amp;b"`, "a\x1b[2J": `"a[2J"`} {
		if d := cmp.Diff(want, dotText(in)); d != "" {
			t.Error(d)
		}
	}
}
