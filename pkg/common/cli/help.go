package cli

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// The most columns of a line of help, and on a narrow terminal the least to which that is reduced. An argument that is longer, as in some examples, is not cut.
const (
	helpWidth    = 100
	minHelpWidth = 80
)

// page is help of a width.
type page struct{ width int }

// pageFor returns the width of help on a stream.
func pageFor(w io.Writer) page {
	if columns, ok := output.TerminalWidth(w); ok {
		return page{min(helpWidth, max(minHelpWidth, columns))}
	}
	return page{helpWidth}
}

// printHelp prints what a command does and how it is used, in lines that fit the terminal.
func printHelp(cmd *cobra.Command, _ []string) {
	_, _ = io.WriteString(cmd.OutOrStdout(), pageFor(cmd.OutOrStdout()).help(cmd))
}

// Help returns what --help prints on a terminal of a width.
func Help(cmd *cobra.Command, columns int) string { return page{columns}.help(cmd) }

func (p page) help(cmd *cobra.Command) string {
	text := strings.TrimSpace(cmd.Long)
	if text == "" {
		text = cmd.Short
	}
	usage := cmd.UsageString()
	flags := cmd.LocalNonPersistentFlags()
	line := cmd.UseLine()
	for _, r := range [][2]string{
		{"  " + line + "\n", "  " + strings.Join(fill(strings.SplitAfter(line, " "), p.width-len("    ")), "\n    ") + "\n"},
		{cmd.Example, p.example(cmd.Example)},
		{strings.TrimRight(flags.FlagUsages(), " \n"), strings.TrimRight(p.flagUsages(flags), "\n")},
	} {
		usage = strings.Replace(usage, r[0], r[1], 1)
	}
	return p.text(text) + "\n\n" + usage
}

// flagUsages lists flags as pflag does, but without the values that a flag has when none is given: nobody types them.
func (p page) flagUsages(fs *pflag.FlagSet) string {
	var left, right []string
	width := 0
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		name := "      --" + f.Name
		if f.Shorthand != "" && f.ShorthandDeprecated == "" {
			name = "  -" + f.Shorthand + ", --" + f.Name
		}
		value, usage := pflag.UnquoteUsage(f)
		if value != "" {
			name += " " + value
		}
		switch f.DefValue {
		case "", "false", "0", "0s", "[]", "<nil>":
		default:
			format := " (default %s)"
			if f.Value.Type() == "string" {
				format = " (default %q)"
			}
			usage += fmt.Sprintf(format, f.DefValue)
		}
		left, right, width = append(left, name), append(right, usage), max(width, len(name))
	})
	const gap = 3
	var b strings.Builder
	for i, name := range left {
		text := fill(strings.SplitAfter(right[i], " "), p.width-width-gap)
		fmt.Fprintf(&b, "%-*s%s\n", width+gap, name, strings.Join(text, "\n"+strings.Repeat(" ", width+gap)))
	}
	return b.String()
}

// text fills the paragraphs of a text, and the items of lists, which continue below their own text.
func (p page) text(text string) string {
	var out []string
	filling := false
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case line == "":
			out, filling = append(out, line), false
		case len(out) > 0 && hanging(out[len(out)-1]) > 0 && indent(line) == hanging(out[len(out)-1]):
			out[len(out)-1] += " " + strings.TrimLeft(line, " ")
		case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "- "):
			out, filling = append(out, line), false
		case filling:
			out[len(out)-1] += " " + line
		default:
			out, filling = append(out, line), true
		}
	}
	for i, line := range out {
		head, rest := line[:hanging(line)], line[hanging(line):]
		width := utf8.RuneCountInString(head)
		out[i] = head + strings.Join(fill(strings.SplitAfter(rest, " "), p.width-width), "\n"+strings.Repeat(" ", width))
	}
	return strings.Join(out, "\n")
}

// definition is a term of a list and the blanks before its text.
var definition = regexp.MustCompile(`^( +\S.*? {2,}|- )`)

// hanging returns where the text of a line begins, 0 for a line of a paragraph.
func hanging(line string) int {
	if at := definition.FindString(line); at != "" && len(at) < minHelpWidth/2 {
		return len(at)
	}
	return indent(line)
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// fill joins words, each with its blank, to lines of at most width columns.
func fill(words []string, width int) []string {
	var lines []string
	line := ""
	for _, w := range words {
		if line != "" && utf8.RuneCountInString(strings.TrimRight(line+w, " ")) > width {
			lines, line = append(lines, strings.TrimRight(line, " ")), ""
		}
		line += w
	}
	return append(lines, strings.TrimRight(line, " "))
}

// example continues long commands with a backslash, before a flag or behind a pipe or &&, so that they can still be pasted, and long comments in a second one.
func (p page) example(example string) string {
	const indent, more = "  ", "    "
	lines := strings.Split(example, "\n")
	for i, line := range lines {
		if utf8.RuneCountInString(line) <= p.width {
			continue
		}
		if comment, ok := strings.CutPrefix(line, indent+"# "); ok {
			lines[i] = indent + "# " + strings.Join(fill(strings.SplitAfter(comment, " "), p.width-len(indent+"# ")), "\n"+indent+"# ")
			continue
		}
		const end = " \\"
		lines[i] = indent + strings.Join(fill(arguments(strings.TrimSpace(line)), p.width-len(more+end)), end+"\n"+more)
	}
	return strings.Join(lines, "\n")
}

// arguments cuts a command before each flag and behind each pipe or && that is not in quotes.
func arguments(command string) []string {
	var out []string
	quote, begin := byte(0), 0
	for i := range len(command) {
		switch c := command[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case i > 0 && command[i-1] == ' ' && (c == '-' || i > 1 && (command[i-2] == '|' || command[i-2] == '&')):
			out, begin = append(out, command[begin:i]), i
		}
	}
	return append(out, command[begin:])
}
