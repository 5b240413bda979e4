package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestQuotedMessages: every message that the FAQ quotes from the plugins is in their code. What differs from case to case may be any verb of Printf.
func TestQuotedMessages(t *testing.T) {
	t.Parallel()
	_, section, ok := strings.Cut(readDoc(t, "faq.md"), "\n## Messages of the plugins\n")
	if !ok {
		t.Fatal("the FAQ has no section about the messages of the plugins")
	}
	quotes := regexp.MustCompile("(?m)^### `(.+)`$").FindAllStringSubmatch(section, -1)
	if len(quotes) < 10 {
		t.Fatalf("only %d messages were found", len(quotes))
	}
	code := source(t)
	for _, q := range quotes {
		for _, part := range parts(q[1]) {
			if !strings.Contains(code, part) {
				t.Errorf("no code has %q, of %q", part, q[1])
			}
		}
	}
}

// TestEveryMessageHasCommand: each entry of the FAQ has a command that explains it.
func TestEveryMessageHasCommand(t *testing.T) {
	t.Parallel()
	command := regexp.MustCompile("(?m)`kubectl |^kubectl ")
	entries := strings.Split(readDoc(t, "faq.md"), "\n### ")[1:]
	for _, e := range entries {
		heading, body, _ := strings.Cut(e, "\n")
		body, _, _ = strings.Cut(body, "\n## ")
		if !command.MatchString(body) {
			t.Errorf("no command explains %s", heading)
		}
	}
	if len(entries) < 30 {
		t.Errorf("only %d entries were found", len(entries))
	}
}

// readDoc returns a page of docs.
func readDoc(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// variable is what a message fills in: dots, a quoted word, a number, a context, an object.
var variable = regexp.MustCompile(`\.\.\.|: |"[^"]*"|\(context [a-z-]+\)|\b\d+\b|default/nginx|\b(in|of) us\b|kube-system`)

// parts cuts a message at what it fills in. Short parts prove nothing.
func parts(message string) []string {
	var out []string
	for _, p := range variable.Split(message, -1) {
		if p = strings.Trim(p, " :;,."); len(p) > 8 {
			out = append(out, p)
		}
	}
	return out
}

// source is the code of the plugins without tests, with joined strings as one.
func source(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range []string{"plugins", "pkg"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			text, err := os.ReadFile(file)
			b.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return regexp.MustCompile(`" \+\n?\s*"`).ReplaceAllString(b.String(), "")
}

func TestParts(t *testing.T) {
	t.Parallel()
	got := parts(`cluster "us" (context kind-us) has no peers; and 1 of 3 clusters could not be read`)
	if len(got) != 2 || got[0] != "has no peers; and" || got[1] != "clusters could not be read" {
		t.Errorf("%q", got)
	}
}
