package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

type document struct {
	Kind    string `json:"kind"`
	Count   int    `json:"count"`
	Members []struct {
		Name string `json:"name"`
		ID   int    `json:"id"`
	} `json:"members"`
}

func example() document {
	d := document{Kind: "Example", Count: 1000000}
	for n, name := range []string{"us", "eu"} {
		d.Members = append(d.Members, struct {
			Name string `json:"name"`
			ID   int    `json:"id"`
		}{name, n + 1})
	}
	return d
}

func TestFormats(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"jsonpath={.count}":                    "1000000",
		"jsonpath={.members[?(@.id==2)].name}": "eu",
		"jsonpath={.members[?(@.id>1)].name}":  "eu",
		"go-template={{.count}}":               "1000000",
		"yaml":                                 "count: 1000000\nkind: Example\nmembers:\n- id: 1\n  name: us\n- id: 2\n  name: eu\n",
	}
	for format, want := range cases {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			f := NewFlags()
			fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
			f.AddFlags(fs)
			if err := fs.Parse([]string{"-o", format}); err != nil {
				t.Fatal(err)
			}
			if err := f.Validate(); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := f.Print(&out, example(), nil); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, out.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"xml", "name", "tables"} {
		f := NewFlags()
		f.Format = format
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), "--output") {
			t.Errorf("%s: %v", format, err)
		}
	}
	own := NewFlags().With("sarif")
	own.Format = "sarif"
	if err := own.Validate(); err != nil || !own.IsCustom() || own.IsTable() {
		t.Errorf("a format of the command's own: %v", err)
	}
	own.Format = "junit"
	if err := own.Validate(); err == nil || !strings.HasSuffix(err.Error(), ", sarif") || own.IsCustom() {
		t.Errorf("another format: %v", err)
	}
	f := NewFlags().WithNames()
	f.Format = Name
	if err := f.Validate(); err != nil || !f.IsName() {
		t.Errorf("name: %v", err)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[2Jb\u202ec\u2068")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Clean(s) {
			if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
				t.Errorf("%q kept %U", s, r)
			}
		}
	})
}

// TestUnread: the name of a cluster is its own choice, and must not steer the terminal.
func TestUnread(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	Unread(&out, "e\x1b[2Ju", "timeout", errors.New("no\nanswer"))
	if d := cmp.Diff("error: cluster e[2Ju: timeout: no; answer\n", out.String()); d != "" {
		t.Error(d)
	}
	if IsTerminal(&out) {
		t.Error("a buffer counts as a terminal")
	}
}

// full is a disk with room for some writes.
type full struct{ room int }

var errFull = errors.New("no space left on device")

func (f *full) Write(b []byte) (int, error) {
	if f.room--; f.room < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// TestNowhere: a write error is reported in every format; a table of 100 rows leaves nothing for the printer's last flush.
func TestNowhere(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{1, 100, 101} {
		table := NewTable("A", "B")
		for range rows {
			AddRow(table, "a", "b")
		}
		sections := map[string][]Section{
			"a table":  {{Table: table}},
			"a title":  {{Title: "title"}},
			"a line":   {{Text: []string{"line"}}},
			"a second": {{Table: table}, {Table: table}},
		}
		for name, s := range sections {
			for _, format := range []string{"", Wide, "json", "yaml", "jsonpath={.count}", "go-template={{.count}}"} {
				f := NewFlags()
				f.Format = format
				if err := f.Print(&full{}, example(), s); !errors.Is(err, errFull) {
					t.Errorf("%s of %d rows, -o %q: %v", name, rows, format, err)
				}
			}
		}
		for _, format := range []string{"", "json", "yaml"} {
			f := NewFlags()
			f.Format = format
			stream, err := f.Stream(&full{})
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Print(example(), sections["a table"]); !errors.Is(err, errFull) {
				t.Errorf("a stream of %d rows, -o %q: %v", rows, format, err)
			}
		}
	}
}

// TestStream: the header once, and columns where they were.
func TestStream(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"":     "A     B\nus    1\na     2\n",
		"yaml": "kind: Example\n---\nkind: Example\n",
	}
	for format, want := range cases {
		f := NewFlags()
		f.Format = format
		var out bytes.Buffer
		stream, err := f.Stream(&out)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range [][]string{{"us", "1"}, {"a", "2"}} {
			table := NewTable("A", "B")
			AddRow(table, row...)
			if err := stream.Print(map[string]string{"kind": "Example"}, []Section{{Table: table}}); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(want, out.String()); d != "" {
			t.Error(d)
		}
	}
}

// TestDirectionOfText: what turns the direction of text reaches the terminal in no format.
func TestDirectionOfText(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"yaml", "kyaml", "json", "jsonpath={.a}", "go-template={{.a}}"} {
		f := NewFlags()
		f.Format = format
		var out bytes.Buffer
		if err := f.Print(&out, map[string]any{"kind": "Example", "a": "x\u202ey\u2066\u061c\u200fz"}, nil); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(out.String(), "\u202e\u2066\u061c\u200f") {
			t.Errorf("%s: %q", format, out.String())
		}
	}
}

// TestOddCharacters: YAML, where the parser of the printer refuses or folds them, says them as JSON does; documents keep their order and the line between them.
func TestOddCharacters(t *testing.T) {
	t.Parallel()
	odd := "a\x7f \u0080\u0085\u009b \u2028 \ufeff\ufffe\uffff \U0001f600 \x00\x1b\n\t<&>\"'é語"
	doc := map[string]any{"z": odd, "kind": "Example", odd: 1000000}
	for _, format := range []string{"yaml", "YAML", "kyaml", "json"} {
		f := NewFlags()
		f.Format = format
		var out bytes.Buffer
		if err := f.Print(&out, doc, nil); err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		var got map[string]any
		if err := yaml.Unmarshal(out.Bytes(), &got); err != nil && format != "json" {
			t.Errorf("%s is not read back: %v\n%s", format, err, out.String())
			continue
		}
		if d := cmp.Diff(map[string]any{"z": odd, "kind": "Example", odd: 1000000.0}, got); d != "" && format != "json" {
			t.Errorf("%s: %s", format, d)
		}
	}
	f := NewFlags()
	f.Format = "yaml"
	var out bytes.Buffer
	stream, err := f.Stream(&out)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := stream.Print(map[string]string{"kind": "Example", "a": "x\x7fé"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff("a: \"x\\x7Fé\"\nkind: Example\n---\na: \"x\\x7Fé\"\nkind: Example\n", out.String()); d != "" {
		t.Error(d)
	}
}

// TestTemplateFails: the error says what is wrong and not the whole document, and nothing is printed.
func TestTemplateFails(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 1000)
	doc := map[string]any{"kind": "Example", "services": []any{map[string]any{"name": long}}}
	cases := map[string]string{
		"go-template=x{{.services.foo.bar}}":    "can't evaluate field foo",
		"go-template={{index .services 0 1}}":   "index",
		"jsonpath=x{.services[99].x}":           "array index out of bounds: index 99, length 1",
		"jsonpath={.services[0].name[1]}":       "is not array or slice",
		"go-template={{eq . .}}":                "non-comparable type",
		"jsonpath={[0]}":                        "is not array or slice",
		"jsonpath={.services[?(@.name > 1)]}":   "incompatible types",
		"go-template={{template \"none\"}}":     "none",
		"go-template={{.kind.a}}":               "can't evaluate field a",
		"go-template={{base64decode .kind}}":    "base64 decode failed",
		"go-template={{index .services .kind}}": "cannot index slice",
		"go-template={{len .none}}":             "len",
	}
	for format, want := range cases {
		f := NewFlags()
		f.Format = format
		var out bytes.Buffer
		err := f.Print(&out, doc, nil)
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 1000 || strings.Contains(err.Error(), "debugging") || out.Len() > 0 {
			t.Errorf("%s: %v\n%s", format, err, out.String())
		}
	}
}

// TestShort: a value that somebody blew up must not flood a table; what a large mesh makes long is left whole.
func TestShort(t *testing.T) {
	t.Parallel()
	var peers, ready []string
	for n := range 255 {
		peers, ready = append(peers, fmt.Sprintf("cluster-%03d", n)), append(ready, fmt.Sprintf("cluster-%03d:12", n))
	}
	fix := "kubectl --context " + strings.Repeat("c", 150) + " annotate service " + strings.Repeat("n", 253) + " " + strings.Repeat("a", 253) + "/" + strings.Repeat("b", 63) + "=true"
	cases := map[string][2]string{
		"a word":        {"short", "short"},
		"peers":         {strings.Join(peers, ","), strings.Join(peers, ",")},
		"ready":         {strings.Join(ready, " "), strings.Join(ready, " ")},
		"a command":     {fix, fix},
		"a blown value": {`eu: affinity "` + strings.Repeat("é", 200000) + `" counts as none`, `eu: affinity "` + strings.Repeat("é", 199) + "…" + strings.Repeat("é", 199) + `" counts as none`},
		"two":           {strings.Repeat("a", 50000) + " -> " + strings.Repeat("b", 401), strings.Repeat("a", 200) + "…" + strings.Repeat("a", 200) + " -> " + strings.Repeat("b", 200) + "…" + strings.Repeat("b", 200)},
		"with blanks":   {strings.Repeat("a ", 50000) + "b", strings.Repeat("a ", 1250) + "…" + strings.Repeat(" a", 1249) + " b"},
		"no UTF-8":      {strings.Repeat("\xff", 50000), strings.Repeat("\ufffd", 200) + "…" + strings.Repeat("\ufffd", 200)},
	}
	for name, c := range cases {
		table := NewTable("A")
		AddRow(table, c[0])
		if d := cmp.Diff(c[1], table.Rows[0].Cells[0]); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestShortText: a line below a table names as many Services and kubeconfig files as there are, and no value in full.
func TestShortText(t *testing.T) {
	t.Parallel()
	command := "  SVC003: kubectl mesh-svc globalize" + strings.Repeat(" service-of-mine", 1000)
	var files, on []string
	for n := range 100 {
		name := "/" + strings.Repeat("folder/", 40) + fmt.Sprintf("%03d.yaml", n)
		files, on = append(files, name), append(on, strings.ReplaceAll("C:"+name, "/", `\`))
	}
	ours := "  SVC003: KUBECONFIG=" + strings.Join(files, ":") + " kubectl --context " + files[0] + "::arn:aws:eks:eu-west-1:123456789012:cluster/us mesh-svc share"
	windows := `  SVC003: $env:KUBECONFIG = "` + strings.Join(on, ";") + `"; kubectl --context us annotate service nginx`
	var out bytes.Buffer
	if err := NewFlags().Print(&out, nil, []Section{{Text: []string{command, ours, windows, `us -> eu: global is "` + strings.Repeat("x", 50000) + `"`}}}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(command+"\n"+ours+"\n"+windows+"\nus -> eu: global is \""+strings.Repeat("x", 199)+"…"+strings.Repeat("x", 199)+"\"\n", out.String()); d != "" {
		t.Error(d)
	}
}

// FuzzYAML: whatever text a cluster holds is printed, and read back it is the same.
func FuzzYAML(f *testing.F) {
	f.Add("a\x7f\u0085\u009b\u2028\ufffe\U0001f600")
	f.Add("a\n\u0085 b\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		flags := NewFlags()
		flags.Format = "yaml"
		var out bytes.Buffer
		if err := flags.Print(&out, map[string]string{"kind": "Example", "a": s}, nil); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		var got map[string]string
		if err := yaml.Unmarshal(out.Bytes(), &got); err != nil || got["a"] != s {
			t.Errorf("%q is read back as %q: %v\n%s", s, got["a"], err, out.String())
		}
	})
}

// No format prints a control character of a text as it is: a reply or a cluster chose it, and a terminal would obey. JSON and YAML are read back as they were.
func TestNoControlCharacters(t *testing.T) {
	t.Parallel()
	odd := "a\x1b[2J\x1b]0;title\x07\x7f\u0085\u009b31m\u202e\u2066\u2028 é語\U0001f600"
	doc := map[string]any{"kind": "Example", "body": odd, "items": []any{odd}}
	for _, format := range []string{
		"json", "JSON", "jsonpath={.body}", "jsonpath={.items}{\"\\n\"}{\"\\t\"}{.kind}", "jsonpath-as-json={.body}", "go-template={{.body}}\n\t{{.kind}}", "go-template={{.body}}", "yaml", "kyaml",
	} {
		f := NewFlags()
		f.Format = format
		var out bytes.Buffer
		if err := f.Print(&out, doc, nil); err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		yamlLike := strings.HasSuffix(format, "yaml") // leaves what only changes the direction of text
		for _, r := range out.String() {
			if r != '\n' && r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0 || !yamlLike && Clean(string(r)) == "") {
				t.Errorf("%s kept %U in %q", format, r, out.String())
				break
			}
		}
		if !strings.Contains(out.String(), "é語") {
			t.Errorf("%s: %q", format, out.String())
		}
		if strings.Contains(format, "\\n") && !strings.HasSuffix(out.String(), "\n\tExample") {
			t.Errorf("%s: the breaks of the template are gone: %q", format, out.String())
		}
		if strings.EqualFold(format, "json") {
			var got map[string]any
			if err := json.Unmarshal(out.Bytes(), &got); err != nil || got["body"] != odd {
				t.Errorf("%s is read back as %q: %v", format, got["body"], err)
			}
		}
		stream, err := f.Stream(&out)
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		if err := stream.Print(doc, nil); err != nil || strings.ContainsAny(out.String(), "\x1b\x7f\u009b") {
			t.Errorf("a stream, %s: %q, %v", format, out.String(), err)
		}
	}
	var out bytes.Buffer
	if err := json.NewEncoder(JSONWriter(&out)).Encode(doc); err != nil || strings.ContainsAny(out.String(), "\x1b\x7f\u009b\u202e") {
		t.Errorf("%q, %v", out.String(), err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got["body"] != odd {
		t.Errorf("read back as %q: %v", got["body"], err)
	}
}
