// Package text knows which characters of a text from a cluster, a certificate or a reply may reach a terminal. It is pure.
package text

import (
	"strings"
	"unicode"
)

// IsControlCharacter reports whether a character would control a terminal: controls, line and paragraph separators, and what turns the direction of text.
func IsControlCharacter(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// OneLine joins the lines of a text with semicolons, and removes control characters.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case IsControlCharacter(r):
			return -1
		}
		return r
	}, strings.ReplaceAll(strings.TrimSpace(s), "\n", "; "))
}
