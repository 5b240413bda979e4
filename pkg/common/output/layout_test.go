package output

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"
)

// table makes a table of random-looking cells; the seed makes it another one.
func table(columns, rows, seed int, words func(n int) string) *metav1.Table {
	names := make([]string, columns)
	for i := range names {
		names[i] = strings.Repeat("H", 2+(seed+i)%9)
	}
	t := NewTable(names...)
	for r := range rows {
		cells := make([]string, columns)
		for i := range cells {
			cells[i] = words(seed + 31*r + 7*i)
		}
		AddRow(t, cells...)
	}
	return t
}

func printed(f *Flags, t *metav1.Table) string {
	var out bytes.Buffer
	f.printSections(&out, []Section{{Table: t}}, f.Colour == colourAlways, tableWidth(nil))
	return out.String()
}

// TestLaidOutAsKubectlDoes: a table that fits is byte for byte what kubectl's printer makes of it.
func TestLaidOutAsKubectlDoes(t *testing.T) {
	t.Parallel()
	word := func(n int) string { return strings.Repeat("e", n%11) } // beyond ASCII kubectl's counts bytes
	for seed := range 40 {
		in := table(1+seed%5, seed%4, seed, word)
		if seed%3 == 0 && len(in.ColumnDefinitions) > 1 {
			in.ColumnDefinitions[1].Priority = 1
		}
		for _, f := range []Flags{{}, {NoHeaders: true}, {Format: Wide}} {
			var want bytes.Buffer
			p := printers.NewTablePrinter(printers.PrintOptions{NoHeaders: f.NoHeaders, Wide: f.Format == Wide})
			if err := p.PrintObj(in.DeepCopy(), &want); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want.String(), printed(&f, in)); d != "" {
				t.Errorf("seed %d, %+v: %s", seed, f, d)
			}
		}
	}
}

// TestHeadersAreClean: a header may be the name of a cluster or of a context.
func TestHeadersAreClean(t *testing.T) {
	t.Parallel()
	in := NewTable("CLIENT", "kind-eu\x1b[2J\u009b31m\u202e")
	AddRow(in, "us", "ok")
	if got := printed(&Flags{}, in); strings.ContainsAny(got, "\x1b\u009b\u202e") || !strings.Contains(got, "KIND-EU") {
		t.Errorf("%q", got)
	}
}

// TestPaddingGivesWay: a table that is a little too wide, with nothing to break between words, gets less padding before words are broken.
func TestPaddingGivesWay(t *testing.T) {
	t.Setenv("COLUMNS", "40")
	in := NewTable("CLUSTER", "CONTEXT", "STATUS")
	AddRow(in, "0123456789ab", "cluster-in-eu", "unreachable")
	if want, got := "CLUSTER       CONTEXT        STATUS\n0123456789ab  cluster-in-eu  unreachable\n", printed(&Flags{}, in); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestNamesStayWhole: a name that people copy is not broken while a sentence and a longer name can give way.
func TestNamesStayWhole(t *testing.T) {
	t.Setenv("COLUMNS", "100")
	pod, arn := "nginx-deployment-7c5ddbdf54-x8k2p-abcd", "arn:aws:eks:eu-central-1:000000000042:cluster/production-42"
	in := NewTable("POD", "CONTEXT", "MESSAGE")
	AddRow(in, pod, arn, strings.TrimSpace(strings.Repeat("words of a sentence ", 5)))
	if got := printed(&Flags{}, in); !strings.Contains(got, pod) {
		t.Errorf("the name of the pod is broken:\n%s", got)
	}
}

// TestFieldDTablesFit: whatever is in a table, it is at most 120 columns wide; -o wide and
// --no-headers, which scripts use, keep each row in one line.
func TestFieldDTablesFit(t *testing.T) {
	t.Parallel()
	sentence := func(n int) string {
		var out []string
		for i := range n%23 + 1 {
			out = append(out, fmt.Sprintf("word%d", (n*i)%97))
		}
		return strings.Join(out, []string{" ", ","}[n%2])
	}
	arn := func(n int) string { return fmt.Sprintf("arn:aws:eks:eu-central-1:%012d:cluster/production-%d", n, n) }
	for seed := range 60 {
		for name, words := range map[string]func(int) string{"sentences": sentence, "long words": arn} {
			columns := 2 + seed%4
			in := table(columns, 3, seed, words)
			got := printed(&Flags{}, in)
			for line := range strings.Lines(got) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 120 {
					t.Errorf("%s, seed %d: %d columns: %s", name, seed, n, line)
				}
				if strings.HasSuffix(line, " \n") {
					t.Errorf("%s, seed %d: a blank at the end of %q", name, seed, line)
				}
			}
			for _, f := range []Flags{{Format: Wide}, {NoHeaders: true}} {
				want := 3
				if f.Format == Wide {
					want++
				}
				if n := strings.Count(printed(&f, in), "\n"); n != want {
					t.Errorf("%s, %+v: %d lines", name, f, n)
				}
			}
		}
	}
}

func joined(s string) string { return strings.Join(strings.Fields(s), "") }

// TestFieldDWrappedCellLosesNothing: the lines of a cell, put together, are the cell.
func TestFieldDWrappedCellLosesNothing(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"a plain sentence that is longer than a line", "one,two,three,four,five", "arn:aws:eks:eu-central-1:123456789012:cluster/production",
		strings.Repeat("ü", 300), "a  b   c", "", "x", "kind: " + strings.Repeat("a", 50) + ", and more",
	} {
		for width := 1; width < 60; width++ {
			lines := wrap(s, width)
			if d := cmp.Diff(joined(s), joined(strings.Join(lines, " "))); d != "" {
				t.Errorf("%q in %d: %s", s, width, d)
			}
			for _, l := range lines {
				if utf8.RuneCountInString(l) > width {
					t.Errorf("%q in %d: line %q", s, width, l)
				}
			}
		}
	}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9]+m")

// TestFieldDColours: results have a colour, nothing else has, and the columns stay where they are.
func TestFieldDColours(t *testing.T) {
	t.Parallel()
	in := NewTable("CLUSTER", "RESULT", "CHANGE")
	AddRow(in, "us", "changed", "failed")
	AddRow(in, "eu", "planned (server dry run)", "x")
	AddRow(in, "ap", "refused", strings.Repeat("because of this ", 12))
	plain, colour := printed(&Flags{}, in), printed(&Flags{Colour: colourAlways}, in)
	if d := cmp.Diff(plain, escapes.ReplaceAllString(colour, "")); d != "" {
		t.Errorf("colours move the columns: %s", d)
	}
	for _, want := range []string{"us        \x1b[32mchanged\x1b[0m    ", "\x1b[36mplanned (server dry run)\x1b[0m   x", "\x1b[31mrefused\x1b[0m "} {
		if !strings.Contains(colour, want) {
			t.Errorf("no %q in %q", want, colour)
		}
	}
	if strings.Contains(colour, "mfailed") {
		t.Errorf("a cell that is not a result has a colour: %q", colour)
	}
	matrix := NewTable("CLIENT", "us", "eu")
	MarkStates(matrix, 1)
	AddRow(matrix, "us", "-", "broken")
	if got := printed(&Flags{Colour: colourAlways}, matrix); !strings.Contains(got, "-     \x1b[31mbroken\x1b[0m\n") {
		t.Errorf("%q", got)
	}
}

// TestFieldDNoColourInDocuments: --color=always is for tables; a buffer is not a terminal, so auto has none.
func TestFieldDNoColourInDocuments(t *testing.T) {
	t.Parallel()
	in := NewTable("RESULT")
	AddRow(in, "failed")
	for _, c := range []struct {
		format, colour string
		want           bool
	}{{"", "", false}, {"", "auto", false}, {"", "never", false}, {"", "always", true}, {"json", "always", false}, {"yaml", "always", false}} {
		f := NewFlags()
		f.Format, f.Colour = c.format, c.colour
		if err := f.Validate(); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := f.Print(&out, map[string]string{"kind": "Example", "result": "failed"}, []Section{{Table: in}}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "\x1b"); got != c.want {
			t.Errorf("%+v: %q", c, out.String())
		}
	}
	f := NewFlags()
	f.Colour = "sometimes"
	if err := f.Validate(); err == nil || !strings.Contains(err.Error(), "--color") {
		t.Errorf("an unknown value: %v", err)
	}
}

// list is a document with items.
type list struct {
	Kind  string `json:"kind"`
	Items []item `json:"items"`
}

type item struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Ready     *int   `json:"ready,omitempty"`
	Ports     []int  `json:"ports"`
}

func listed() list {
	ten, nine := 10, 9
	return list{"List", []item{{"b", "web", &ten, []int{80, 443}}, {"a", "api", nil, nil}, {"c", "db", &nine, []int{5432}}}}
}

// TestFieldDCustomColumns: the columns are kubectl's, its messages too.
func TestFieldDCustomColumns(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"custom-columns=NAME:.name,Ready:{.ready}":                         "NAME   Ready\nweb    10\napi    <none>\ndb     9\n",
		"custom-columns=NS:metadata.namespace,PORTS:.ports[*],X:.metadata": "NS    PORTS    X\nb     80,443   map[name:web namespace:b]\na     <none>   map[name:api namespace:a]\nc     5432     map[name:db namespace:c]\n",
	} {
		f := NewFlags().WithItems("items")
		f.Format = format
		if err := f.Validate(); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := f.Print(&out, listed(), nil); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, out.String()); d != "" {
			t.Errorf("%s: %s", format, d)
		}
	}
	for format, want := range map[string]string{
		"custom-columns=":          "no custom columns given",
		"custom-columns=NAME":      "expected <header>:<json-path-expr>",
		"custom-columns=NAME:{.a":  "unexpected path string",
		"custom-columns=A:.a,":     "expected <header>:<json-path-expr>",
		"custom-columns=A:.a[?(@)": "unexpected",
	} {
		f := NewFlags().WithItems("items")
		f.Format = format
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), "--output") {
			t.Errorf("%s: %v, want %s", format, err, want)
		}
	}
	f := NewFlags()
	f.Format = "custom-columns=A:.a"
	if err := f.Validate(); err == nil {
		t.Error("columns of a document without items")
	}
}

// TestFieldDSortBy: numbers by value, and an item without the field first.
func TestFieldDSortBy(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"": "web api db", ".name": "api db web", "{.metadata.name}": "api db web", "ready": "api db web", ".namespace": "api web db", ".ports[0]": "api web db",
	} {
		f := &Flags{SortBy: path}
		doc := listed()
		if err := Sort(f, doc.Items); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range doc.Items {
			got = append(got, i.Name)
		}
		if d := cmp.Diff(want, strings.Join(got, " ")); d != "" {
			t.Errorf("%q: %s", path, d)
		}
	}
	for _, path := range []string{".none", "{.a"} {
		if err := Sort(&Flags{SortBy: path}, listed().Items); err == nil || !strings.Contains(err.Error(), "--sort-by") {
			t.Errorf("%q: %v", path, err)
		}
	}
}
