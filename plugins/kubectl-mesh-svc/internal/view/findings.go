package view

import (
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// Findings shows one row for each finding and, below the table, how each is mended; with wide also why it is one.
func Findings(fs []v1alpha1.Finding, wide bool) []output.Section {
	if len(fs) == 0 {
		return nil
	}
	s := output.Section{Title: "Findings", Table: output.NewTable("ID", "SEVERITY", "OBJECT", "MESSAGE")}
	shown := map[string]bool{}
	for _, f := range fs {
		output.AddRow(s.Table, f.ID, f.Severity, strings.TrimPrefix(f.Object, "service/"), f.Message)
		if f.Fix != "" {
			s.Text = append(s.Text, fmt.Sprintf("  %s %s: %s", f.ID, strings.TrimPrefix(f.Object, "service/"), f.Fix))
		}
	}
	sections := []output.Section{s}
	if len(s.Text) > 0 {
		fixes := output.Section{Title: "To mend", Text: s.Text}
		sections[0].Text = nil
		sections = append(sections, fixes)
	}
	if wide {
		why := output.Section{Title: "Why"}
		for _, f := range fs {
			if !shown[f.ID] {
				shown[f.ID] = true
				why.Text = append(why.Text, fmt.Sprintf("  %s: %s", f.ID, f.Reason))
			}
		}
		sections = append(sections, why)
	}
	return sections
}
