package main

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		path, text string
		want       []string
	}{
		"every line that has one":        {"a.md", "fine\nto mend\nmends it\n", []string{"a.md:2 mend", "a.md:3 mends"}},
		"another word":                   {"a.md", "recommend an amendment\n", nil},
		"over a line break":              {"a.md", "It is\nno file.\n", []string{"a.md:1 is no file"}},
		"over two lines of a comment":    {"a.go", "package a\n\n// is made\n// as long\n// as it is\n", []string{"a.go:4 as long as"}},
		"over two halves of a Go string": {"a.go", "package a\n\nvar s = \"ends without a \" +\n\t\"word\"\n", []string{"a.go:3 without a word"}},
		"ordinary English":               {"a.md", "There is no file. It is no longer there, is about 10 minutes old, and stands in for another.\n", nil},
		"a declared name":                {"a.go", "package a\n\ntype T struct{ Own int }\n\nfunc (T) Again() { held := 1; _ = held }\n", []string{"a.go:3 Own", "a.go:5 Again", "a.go:5 held"}},
		"a name that is used":            {"a.go", "package a\n\nvar x = b.Again\n", nil},
		"not text":                       {"a.png", "mend", nil},
		"bytes":                          {"a.txt", "mend\x00", nil},
		"built":                          {"bin/a.md", "mend", nil},
		"a hidden directory":             {".git/a.md", "mend", nil},
		"a hidden file":                  {".x.yaml", "# mend\n", []string{".x.yaml:1 mend"}},
		"these expressions":              {"test/cmd/language/a.md", "mend", nil},
		"a script":                       {"testdata/script/a.txtar", "# made anew\n", []string{"testdata/script/a.txtar:1 anew"}},
		"a Makefile":                     {"sub/Makefile", "# in vain\n", []string{"sub/Makefile:1 in vain"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hits, err := check(fstest.MapFS{tc.path: {Data: []byte(tc.text)}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, h := range hits {
				place, _, _ := strings.Cut(h.String(), ": ")
				got = append(got, place+" "+h.text)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestEveryExpression: each one is listed once, and says what to write instead; each exemption names an expression and says why.
func TestEveryExpression(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, e := range expressions {
		if known[e.name] || e.write == "" {
			t.Errorf("%q: listed twice, or nothing to write instead", e.name)
		}
		known[e.name] = true
	}
	for _, e := range exemptions {
		if !known[e.expression] || e.why == "" {
			t.Errorf("%q: no such expression, or no reason", e.expression)
		}
	}
}

// TestExamples: the left column of the team's list, one sentence each.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"the command that mends it", "it was signed anew", "it lies in a file", "it stands in the list", "the finding is about eu",
		"a change wants a restart", "this is no terminal", "no JSON of ours", "the leafs", "as long as one is ready", "puts back what was",
		"put them back", "takes it back", "the way back", "found by itself", "left out without a word", "asked for in vain", "it belongs into lab/",
		"the severity from which on it fails", "treated alike", "the word none", "a warning is said", "what was there before",
		"it is not known whether they connect", "whether us is a member is not known", "a change wrote over it", "it leaves all the same",
		"0 takes the limit away", "takes no names, and there is %q", "has not changed for so long", "what to call is missing",
	} {
		if len(inText("a.md", text)) == 0 {
			t.Errorf("%q passes", text)
		}
	}
}
