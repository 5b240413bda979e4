package docs

import (
	"regexp"
	"strings"
	"testing"
)

// commands maps a command, such as "kubectl mesh-svc drain", to its flags, as docs/reference has them. The reference is compared with the
// commands themselves by tests of the plugins.
type commands map[string]map[string]bool

var (
	flagCell = regexp.MustCompile("^\\| `(?:-(\\w), )?--([a-z0-9-]+)")
	plugin   = regexp.MustCompile(`kubectl mesh-(?:svc|ca|probe)\b[^|;&>\n]*`)
	flagWord = regexp.MustCompile(`^--?[a-z][a-z0-9-]*|^-[A-Z]$`)
)

func readReference(t *testing.T) commands {
	t.Helper()
	out := commands{}
	for _, name := range []string{"svc", "ca", "probe"} {
		display := "kubectl mesh-" + name
		out[display] = map[string]bool{"--help": true, "-h": true}
		section := ""
		for line := range strings.Lines(readDoc(t, "reference/kubectl-mesh-"+name+".md")) {
			if h, ok := strings.CutPrefix(strings.TrimSpace(line), "## "); ok {
				section = h
				if h == "Without a command" {
					section = display
				}
				if out[section] == nil {
					out[section] = map[string]bool{}
				}
			}
			if m := flagCell.FindStringSubmatch(line); m != nil {
				set := out[section]
				if section == "Flags of every command" {
					set = out[display+" *"]
				}
				if set == nil {
					set = map[string]bool{}
					out[display+" *"] = set
				}
				set["--"+m[2]] = true
				if m[1] != "" {
					set["-"+m[1]] = true
				}
			}
		}
	}
	return out
}

// problem says what is wrong with a command of one of the plugins.
func (c commands) problem(text string) string {
	words := strings.Fields(unquoted(text))
	display := strings.Join(words[:2], " ")
	command, rest := display, words[2:]
	for len(rest) > 0 && c[command+" "+rest[0]] != nil {
		command, rest = command+" "+rest[0], rest[1:]
	}
	if command == display && display != "kubectl mesh-probe" && len(rest) > 0 && regexp.MustCompile(`^[a-z]+$`).MatchString(rest[0]) && rest[0] != "help" {
		return "there is no command " + rest[0]
	}
	for _, word := range rest {
		flag := flagWord.FindString(word)
		if flag != "" && !c[command][flag] && !c[display+" *"][flag] && !c[display][flag+" "] && flag != "--help" {
			return command + " has no flag " + flag
		}
	}
	return ""
}

// unquoted leaves out what is in quotes: it may contain what looks like a flag.
func unquoted(text string) string {
	return regexp.MustCompile(`'[^']*'|"[^"]*"`).ReplaceAllString(text, "X")
}

// TestCommandsExist: every command of the plugins that a page shows, in a block or in the text, has a command and flags that exist. Only CHANGELOG.md may name what is gone.
func TestCommandsExist(t *testing.T) {
	t.Parallel()
	reference := readReference(t)
	checked := 0
	for _, p := range sorted(pages(t)) {
		if p.Path == "CHANGELOG.md" {
			continue
		}
		check := func(line int, text string) {
			for _, m := range plugin.FindAllString(unquoted(strings.ReplaceAll(text, "\\\n", " ")), -1) {
				checked++
				if problem := reference.problem(m); problem != "" {
					t.Errorf("%s:%d: %s: %s", p.Path, line, m, problem)
				}
			}
		}
		for _, s := range p.Spans {
			check(s.Line, s.Text)
		}
		for _, b := range p.Blocks {
			switch b.Language() {
			case "sh", "console":
				for _, c := range b.Commands() {
					check(c.Line, c.Text)
				}
			case "yaml": // the steps of a workflow
				for i, line := range b.Lines {
					check(b.Line+1+i, line)
				}
			}
		}
	}
	t.Logf("%d commands", checked)
}

func TestProblem(t *testing.T) {
	t.Parallel()
	c := commands{"kubectl mesh-svc": {}, "kubectl mesh-svc drain": {"--in": true}, "kubectl mesh-svc *": {"--contexts": true}, "kubectl mesh-probe": {"--from": true}}
	for text, want := range map[string]string{
		"kubectl mesh-svc drain us --in=a --contexts b":    "",
		"kubectl mesh-svc drain --from x":                  "kubectl mesh-svc drain has no flag --from",
		"kubectl mesh-svc drained us":                      "there is no command drained",
		"kubectl mesh-probe http://x --from 'a --nothing'": "",
		"kubectl mesh-probe http://x --form deploy/client": "kubectl mesh-probe has no flag --form",
		"kubectl mesh-svc NAME":                            "",
		"kubectl mesh-svc":                                 "",
	} {
		if got := c.problem(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
