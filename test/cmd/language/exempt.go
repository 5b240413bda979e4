package main

import (
	"regexp"
	"strings"
)

// exemption is ordinary English, or a quotation, that an expression also matches.
type exemption struct {
	expression string
	text       string // a regular expression around the match
	path       string // a path or the directory that it applies to; everywhere if empty
	why        string
}

var exemptions = []exemption{
	{"is no X", `\bthere (is|are|was|were) no \w+`, "", "ordinary English"},
	{"is no X", `\b(is|are|was|were) no (longer|more|less|fewer|better|worse|larger|later|earlier)\b`, "", "ordinary English"},
	{"is about", `\b(is|are) about (to|a|an|half|one|two|three|five|ten|twenty|\d+|how many)\b`, "", `"roughly", or "is going to"`},
	{"stands in", `\bstands? in for\b`, "", `"replaces"`},
	{"wants", `\b(who|user|users|person|reader|nobody|somebody|everybody|kubelet|it) wants\b`, "", "people, and programs that ask, may want something"},
	{"leafs", "`leafs` -> `leafCertificates`", "CHANGELOG.md", "the previous name of a field"},
	{"as long as", `\bas long as (it|they) (takes?|needs?)\b|\b(twice|times|exactly|just|at least) as long as\b`, "", "names a duration, or compares two lengths"},
}

// skipped is what the check does not read.
var skipped = []struct{ path, why string }{
	{"test/cmd/language", "holds the expressions"},
	{"LICENSE", "the text of the Apache License"},
}

// pending is text that other work rewrites. This list is meant to become empty.
var pending = []string{}

// skips reports whether a path is one of the lists above, or below one.
func skips(path string) bool {
	for _, s := range skipped {
		if within(path, s.path) {
			return true
		}
	}
	for _, p := range pending {
		if within(path, p) {
			return true
		}
	}
	return false
}

func within(path, dir string) bool {
	return dir == "" || path == dir || strings.HasPrefix(path, dir+"/")
}

// exempt lists the parts of a text that an expression does not count in.
func exempt(path, name, text string) [][]int {
	var parts [][]int
	for _, e := range exemptions {
		if e.expression == name && within(path, e.path) {
			parts = append(parts, regexp.MustCompile(`(?i)`+e.text).FindAllStringIndex(text, -1)...)
		}
	}
	return parts
}
