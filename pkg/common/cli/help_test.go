package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// TestHelpLists: the text of a list stays below itself; a paragraph that begins with a flag is one.
func TestHelpLists(t *testing.T) {
	t.Parallel()
	text := "  Helm      finds the CAs of the others\n            and writes them\n  nobodÿ    nothing\n- an item of a list that is long\n--with scale\nscales"
	want := "  Helm      finds the\n            CAs of the\n            others and\n            writes\n            them\n  nobodÿ    nothing\n- an item of a list\n  that is long\n--with scale scales"
	if got := (page{22}).text(text); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestHelpFits: help is as wide as its page; nothing of it is lost by that, and a command that continues in the next line can be pasted.
func TestHelpFits(t *testing.T) {
	t.Parallel()
	cmd := &cobra.Command{
		Use: "globalize (NAME... | -l SELECTOR | --all) [-A] [--in CLUSTER,...] [--contexts CONTEXT,...] [--timeout TIME]", Short: "Make Services global",
		Long: strings.Repeat("The command shows the plan and checks it in every cluster. ", 5),
		Example: "  # Global in every cluster of the mesh, where clients prefer the endpoints of their own cluster while one is ready\n" +
			"  kubectl mesh-svc globalize nginx --contexts kind-us,kind-eu --affinity local --dry-run=server",
		Run: func(*cobra.Command, []string) {},
	}
	cmd.Flags().String("affinity", "", "Also set the `value` of the affinity annotation, in every cluster: local, remote or none.")
	cmd.SetUsageTemplate(usageTemplate)
	words := func(s string) string {
		return strings.Join(strings.Fields(strings.NewReplacer("\\\n", " ", "\n  # ", "\n ").Replace(s)), " ")
	}
	widest := page{1000}.help(cmd)
	for _, width := range []int{minHelpWidth, helpWidth} {
		got := page{width}.help(cmd)
		for line := range strings.SplitSeq(got, "\n") {
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("%d columns in a line of %d: %s", n, width, line)
			}
		}
		if words(got) != words(widest) {
			t.Errorf("width %d:\n%s\nwant the words of:\n%s", width, got, widest)
		}
	}
}
