package finding

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/test/docs"
)

var update = flag.Bool("update", false, "update docs/findings.md")

const docsFile = "../../../docs/findings.md"

// intro is the text above the sections of docs/findings.md.
const intro = `# Findings

This page lists the findings by id. An id never changes its meaning. Each finding names the clusters and the object, and says what is
wrong and why. ` + "`kubectl mesh-svc check` and `kubectl mesh-ca check`" + ` print a suggested fix for each. Use ` + "`--ignore ID`" + ` to leave a rule out, and ` + "`--fail-on`" + ` to set the
minimum severity that causes exit code 1. A rule that is only an inference from Cilium's code is never an error.

` + "`go test ./pkg/common/finding -update`" + ` generates this page from the registry.

`

// markdown is the whole page.
func markdown(rules []Rule) string {
	var b strings.Builder
	b.WriteString(intro)
	b.WriteString("| id | what is wrong | severity |\n|---|---|---|\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", r.ID, docs.Anchor(r.ID+": "+r.Title), r.Title, r.Severity)
	}
	b.WriteString("\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "## %s: %s\n\nSeverity: %s.\n\n**Why.** %s\n\n**Suggested fix.** %s\n\n", r.ID, r.Title, r.Severity, r.Why, r.Advice)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestDocs(t *testing.T) {
	t.Parallel()
	want := markdown(All())
	if *update {
		if err := os.WriteFile(docsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("docs/findings.md does not match the registry; run: go test ./pkg/common/finding -update\n%s", d)
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range All() {
		if seen[r.ID] {
			t.Errorf("%s is listed twice", r.ID)
		}
		seen[r.ID] = true
		if r.Title == "" || r.Why == "" || r.Advice == "" || strings.HasSuffix(r.Title, ".") {
			t.Errorf("%s is incomplete: %+v", r.ID, r)
		}
	}
}

func TestSortAndWorst(t *testing.T) {
	t.Parallel()
	fs := []v1alpha1.Finding{{ID: "B", Severity: "info"}, {ID: "C", Severity: "warning", Object: "z"}, {ID: "C", Severity: "warning", Object: "a"}, {ID: "D", Severity: "error"}}
	Sort(fs)
	var got []string
	for _, f := range fs {
		got = append(got, f.ID+f.Object)
	}
	if d := cmp.Diff([]string{"D", "Ca", "Cz", "B"}, got); d != "" {
		t.Error(d)
	}
	for threshold, want := range map[Severity]bool{Error: true, Warning: true, Info: true} {
		if Worst(fs, threshold) != want {
			t.Errorf("%s", threshold)
		}
	}
	if Worst(fs[1:], Error) || !Worst(fs[1:], Warning) || Worst(nil, Info) {
		t.Error("thresholds")
	}
}
