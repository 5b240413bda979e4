package docs

import (
	"regexp"
	"strings"
)

// reasons are why a block is not run against the lab: the word behind "not-run:" in its info string.
var reasons = map[string]string{
	"real-cilium":   "needs Cilium's processes, which the lab imitates; make rotate-cilium, federate-cilium and demo-cilium run such commands",
	"empty-cluster": "needs clusters without Cilium",
	"docker":        "needs Docker",
	"cloud":         "needs a cloud account",
	"other-tools":   "needs a program that this repository does not build",
	"build":         "builds or tests this repository; CI runs most of these",
	"replaced":      "shows what the plugins replace",
	"examples":      "the examples of the help, which a unit test parses",
	"own-lab":       "starts or stops a lab",
	"install":       "installs or removes programs of your machine, or reads a release; make krew-check and make release-check install, run and remove archives and krew plugins in their own way",
}

// Language is the first word of the info string.
func (b Block) Language() string { first, _, _ := strings.Cut(b.Info, " "); return first }

// NotRun is the word behind "not-run:", "" for a block that is run.
func (b Block) NotRun() string {
	_, rest, _ := strings.Cut(b.Info, " ")
	return strings.TrimPrefix(rest, "not-run:")
}

// Command is a command of a block, and the output that the page shows below it.
type Command struct {
	Line  int    // of the page
	Text  string // without its comment
	Note  string // the comment
	Shown []string
}

// Commands returns the commands of a block. In a console block, they begin with "$ ". A line that ends with a backslash goes on in the next.
func (b Block) Commands() []Command {
	var out []Command
	console := b.Language() == "console"
	open := false
	for i, line := range b.Lines {
		text, prompt := strings.CutPrefix(line, "$ ")
		switch {
		case open:
			out[len(out)-1].Text += "\n" + line
		case console && !prompt:
			if len(out) > 0 {
				out[len(out)-1].Shown = append(out[len(out)-1].Shown, line)
			}
			continue
		case strings.TrimSpace(text) == "" || strings.HasPrefix(strings.TrimSpace(text), "#"):
			continue
		default:
			command, note, _ := strings.Cut(text, " #")
			out = append(out, Command{Line: b.Line + 1 + i, Text: strings.TrimSpace(command), Note: strings.TrimSpace(note)})
		}
		open = strings.HasSuffix(line, `\`)
	}
	return out
}

var (
	colour = regexp.MustCompile("\x1b\\[[0-9;]*[mK]")
	number = regexp.MustCompile(`\d+(\.\d+)?`)
	// erased is the progress that a command has drawn over.
	erased = regexp.MustCompile("(?m)^.*\x1b\\[J")
)

// Missing returns the first line of a page's sample that a terminal did not show, in the order of the sample; "" if it showed all. Numbers, colours and the width of blanks
// do not count, and a line of dots stands for lines that the page leaves out.
func Missing(sample []string, shown string) string {
	lines := strings.Split(colour.ReplaceAllString(erased.ReplaceAllString(shown, ""), ""), "\n")
	at := 0
	for _, want := range sample {
		if w := plain(want); w == "" || w == "..." {
			continue
		}
		for at < len(lines) && plain(lines[at]) != plain(want) {
			at++
		}
		if at == len(lines) {
			return want
		}
		at++
	}
	return ""
}

func plain(line string) string {
	return number.ReplaceAllString(strings.Join(strings.Fields(line), " "), "0")
}
