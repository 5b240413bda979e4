package main

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := parse("A  \x1b[32mok\x1b[0m <b>\r\n\r\n█ x\r\n")
	if err != nil {
		t.Fatal(err)
	}
	want := [][]piece{{{0, "A  ", ""}, {3, "ok", "32"}, {5, " <b>", ""}}, nil, {{0, "█ x", ""}}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(piece{})); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"\x1b[2Kx", "a\rb", "a\tb"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q was drawn", bad)
		}
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	got := lastLines("$ x\r\n1 of 3\r\n\x1b[J\x1b[1A\x1b[J2 of 3\r\n\x1b[1A\r\x1b[JTABLE\r\nrow\r\n")
	if d := cmp.Diff([]string{"$ x", "TABLE", "row"}, got); d != "" {
		t.Error(d)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	lines, err := parse("<&>  \x1b[31mFAIL\x1b[0m")
	if err != nil {
		t.Fatal(err)
	}
	for _, th := range themes {
		svg, err := render(lines, "a <title>", th)
		if err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil {
			t.Error(err)
		}
		if !strings.Contains(svg, `fill="`+th.colours["31"]+`">FAIL</text>`) || !strings.Contains(svg, "&lt;&amp;&gt;") {
			t.Error(svg)
		}
	}
	if _, err := render([][]piece{{{0, "x", "35"}}}, "", themes[0]); err == nil {
		t.Error("a colour without a value was drawn")
	}
}
