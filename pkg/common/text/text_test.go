package text

import "testing"

func TestOneLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                "",
		"\n one\ntwo\n":                   "one; two",
		"a\tb\r\nc":                       "a b; c",
		"\x1b[2J\u009b31mred\x7f":         "[2J31mred",
		"from\u202e right \u200fto\u061c": "from right to",
		"line\u2028paragraph\u2029":       "lineparagraph",
		"Ünïcode 集群":                      "Ünïcode 集群",
	} {
		if got := OneLine(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
