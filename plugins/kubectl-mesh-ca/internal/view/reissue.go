package view

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// Reissue shows the phases of a change, and what became of each object.
func Reissue(doc v1alpha1.CAChangeReport) []output.Section {
	sections := phaseSections(doc)
	if len(doc.Changes) == 0 {
		return append(sections, output.Section{Text: []string{"No leaf certificate needs to be issued again, and nothing needs a restart."}})
	}
	t := output.NewTable("CLUSTER", "OBJECT", "OLD", "NEW", "RESULT")
	for _, c := range doc.Changes {
		output.AddRow(t, c.Cluster, c.Object, authorityOf(c.Before), authorityOf(c.After), c.Result)
	}
	return append(sections, output.Section{Title: "Changes", Table: t, Text: unusual(doc)})
}

// phaseSections shows the phases of a change; none for a change without phases.
func phaseSections(doc v1alpha1.CAChangeReport) []output.Section {
	if len(doc.Phases) == 0 {
		return nil
	}
	var text []string
	for n, p := range doc.Phases {
		head := fmt.Sprintf("  %d. %s (%s)", n+1, p.Name, strings.Join(p.Clusters, ", "))
		if p.TookMs != nil {
			head += fmt.Sprintf(": done in %s", (time.Duration(*p.TookMs) * time.Millisecond).Round(time.Second/10)) //nolint:mnd // tenths of a second
		}
		text = append(text, head)
		for _, line := range p.Descriptions {
			if strings.Contains(line, ": runs ") { // a command is not broken
				text = append(text, "     "+line)
				continue
			}
			text = append(text, wrapped("     "+line, "       ")...)
		}
	}
	if len(doc.Waiting) > 0 {
		text = append(text, "", "Still waiting for:")
		text = append(text, indent(doc.Waiting)...)
	}
	return []output.Section{{Title: "Phases. Each begins when the one before it has ended in all its clusters", Text: text}}
}

// unusual returns the messages of the changes that did not simply succeed.
func unusual(doc v1alpha1.CAChangeReport) []string {
	var out []string
	for _, c := range doc.Changes {
		if c.Message != "" && c.Result != v1alpha1.ResultChanged && c.Result != v1alpha1.ResultUnchanged && c.Result != v1alpha1.ResultPlanned {
			out = append(out, fmt.Sprintf("  %s %s: %s", c.Cluster, c.Object, c.Message))
		}
	}
	return out
}

// isAuthority reports whether a change replaces or keeps a CA.
func isAuthority(c v1alpha1.Change) bool {
	_, ok := c.After["subject"]
	return ok
}

// followUp shows what a sync did after the CAs were replaced: the phases, and the objects that are not CAs.
func followUp(doc v1alpha1.CAChangeReport) []output.Section {
	sections := phaseSections(doc)
	if sections == nil {
		return nil
	}
	var t *metav1.Table
	for _, c := range doc.Changes {
		if isAuthority(c) {
			continue
		}
		if t == nil {
			t = output.NewTable("CLUSTER", "OBJECT", "OLD", "NEW", "RESULT")
		}
		output.AddRow(t, c.Cluster, c.Object, authorityOf(c.Before), authorityOf(c.After), c.Result)
	}
	if t != nil {
		sections = append(sections, output.Section{Title: "Leaf certificates and restarts", Table: t})
	}
	return sections
}
