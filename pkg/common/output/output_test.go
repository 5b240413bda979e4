package output

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
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
	if err := own.Validate(); err != nil || !own.Own() || own.IsTable() {
		t.Errorf("a format of the command's own: %v", err)
	}
	own.Format = "junit"
	if err := own.Validate(); err == nil || !strings.HasSuffix(err.Error(), ", sarif") || own.Own() {
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
		t.Error("a buffer is no terminal")
	}
}
