package clitest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
)

// CheckReference compares a page of docs/reference with the commands that it describes, and with update writes it. pkg is the package whose test
// writes the page.
func CheckReference(t *testing.T, root *cobra.Command, pkg, page string, update bool) {
	t.Helper()
	want := reference(root, pkg)
	if update {
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("%s is not up to date; run: go test ./%s -run TestReference -update\n%s", page, pkg, d)
	}
}

// reference returns the page: the plugin, one section for each of its commands, and the flags that every command takes.
func reference(root *cobra.Command, pkg string) string {
	var b strings.Builder
	var commands []*cobra.Command
	visit(root, func(cmd *cobra.Command) {
		if cmd != root && cmd.Name() != "help" && cmd.IsAvailableCommand() {
			commands = append(commands, cmd)
		}
	})
	fmt.Fprintf(&b, "# %s\n\n<!-- Written by: go test ./%s -run TestReference -update -->\n\n%s\n\n", root.DisplayName(), pkg, prose(root.Long))
	b.WriteString("| command | |\n|---|---|\n")
	for _, cmd := range commands {
		fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", cmd.CommandPath(), strings.ReplaceAll(cmd.CommandPath(), " ", "-"), cell(cmd.Short))
	}
	b.WriteString("\n")
	if strings.Contains(root.Long, "Exit codes:") { // it does something itself
		describe(&b, root, "## Without a command")
	}
	for _, cmd := range commands {
		describe(&b, cmd, "## "+cmd.CommandPath())
	}
	fmt.Fprintf(&b, "## Flags of every command\n\n%s", flagTable(root.PersistentFlags()))
	return b.String()
}

// describe writes the section of one command.
func describe(b *strings.Builder, cmd *cobra.Command, heading string) {
	fmt.Fprintf(b, "%s\n\n%s.\n\n", heading, cell(cmd.Short))
	if cmd.HasParent() {
		fmt.Fprintf(b, "%s\n\n", prose(cmd.Long))
	}
	fmt.Fprintf(b, "```text\n%s\n```\n\n", strings.TrimSpace(cmd.UseLine()))
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(b, "Aliases: %s.\n\n", strings.Join(cmd.Aliases, ", "))
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "```sh not-run:examples\n%s\n```\n\n", dedent(cmd.Example))
	}
	exits := "a command that reads: 0, 1, 2 or 130"
	switch {
	case cli.IsWriting(cmd):
		exits = "a command that writes: 0, 1 or 130"
	case ofEveryPlugin(path(cmd)):
		exits = "a command that contacts no cluster: 0 or 2"
	}
	fmt.Fprintf(b, "[Exit codes](../exit-codes.md) of %s.\n\n", exits)
	if flags := cmd.LocalNonPersistentFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(b, "%s\n", flagTable(flags))
	}
}

// flagTable lists flags as Markdown, without -h.
func flagTable(fs *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString("| flag | default | |\n|---|---|---|\n")
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := strings.TrimSpace("--" + f.Name + " " + value)
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		preset := f.DefValue
		switch preset {
		case "", "false", "0", "0s", "[]", "<nil>":
			preset = ""
		default:
			preset = "`" + preset + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, preset, cell(usage))
	})
	return b.String()
}

// markdown escapes what Markdown would read as markup.
var markdown = strings.NewReplacer("<", `\<`, ">", `\>`, "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "|", `\|`, "\\", `\\`)

func cell(text string) string { return markdown.Replace(strings.Join(strings.Fields(text), " ")) }

// prose keeps the paragraphs of a text. A line that is indented or begins with a dash stays a line of its own.
func prose(text string) string {
	var out []string
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		lines := strings.Split(paragraph, "\n")
		for i, line := range lines {
			lines[i] = cell(line)
			if strings.HasPrefix(line, " ") {
				lines[i] = "    " + strings.TrimRight(line, " ")
			}
		}
		out = append(out, strings.Join(lines, "\n"))
	}
	return strings.Join(out, "\n\n")
}

// dedent removes the indentation of examples.
func dedent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}
