package docs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = "# A `b`\n\nSee [x](y.md#z), `[no](link)` and <img src=\"p.svg\">.\n\n```sh\nfirst   # why\n\nsecond \\\n  more\n```\n\n## A b\n\n" +
	"```console\n$ third\nOne  2\n...\n$ fourth\n```\n\n```sh not-run:docker\nfifth\n```\n"

func TestParse(t *testing.T) {
	t.Parallel()
	p := Parse("a.md", sample)
	if d := cmp.Diff(map[string]bool{"a-b": true, "a-b-1": true}, p.Anchors); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Link{{3, "y.md#z"}, {3, "p.svg"}}, p.Links); d != "" {
		t.Error(d)
	}
	var got [][]Command
	for _, b := range p.Blocks {
		got = append(got, b.Commands())
	}
	want := [][]Command{
		{{Line: 6, Text: "first", Note: "why"}, {Line: 8, Text: "second \\\n  more"}},
		{{Line: 15, Text: "third", Shown: []string{"One  2", "..."}}, {Line: 18, Text: "fourth"}},
		{{Line: 22, Text: "fifth"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if p.Blocks[0].NotRun() != "" || p.Blocks[2].NotRun() != "docker" || p.Blocks[2].Language() != "sh" || p.Blocks[1].Heading != "A b" {
		t.Errorf("%+v", p.Blocks)
	}
}

func TestAnchor(t *testing.T) {
	t.Parallel()
	for heading, want := range map[string]string{
		"SVC001: global in some clusters only": "svc001-global-in-some-clusters-only",
		"Use it with Argo CD, Flux & Helm":     "use-it-with-argo-cd-flux--helm",
		"`tls: bad` [x](y)":                    "tls-bad-x",
		"snake_case":                           "snake_case",
	} {
		if got := Anchor(heading); got != want {
			t.Errorf("%s: %s, want %s", heading, got, want)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	const shown = "probing 1/2\r\n\x1b[1A\x1b[J\x1b[1A\x1b[JCLUSTER   SHARE\r\n\x1b[32mus\x1b[0m   66.9%\r\neu   33%\r\n"
	for name, c := range map[string]struct {
		sample []string
		want   string
	}{
		"all, other numbers": {[]string{"CLUSTER SHARE", "us  1.5%", "eu 7%"}, ""},
		"left out":           {[]string{"CLUSTER SHARE", "...", "", "eu 7%"}, ""},
		"another word":       {[]string{"CLUSTER SHARE", "ap 7%"}, "ap 7%"},
		"another order":      {[]string{"eu 7%", "us 7%"}, "us 7%"},
		"part of a line":     {[]string{"CLUSTER"}, "CLUSTER"},
	} {
		if got := Missing(c.sample, shown); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
