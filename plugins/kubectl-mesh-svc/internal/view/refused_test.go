package view

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// TestRefusedPlan: for a refused plan only the rows with the reason are shown; otherwise all rows.
func TestRefusedPlan(t *testing.T) {
	t.Parallel()
	const stopped = "not written: the command ended before it"
	for name, c := range map[string]struct {
		dryRun, first, message string // of the first of 249; the others are planned
		planned                string // what the others say
		cut                    bool
	}{
		"refused":                {"none", v1alpha1.ResultRefused, "clients in eu would be left", stopped, true},
		"failed":                 {"none", v1alpha1.ResultFailed, "no permission", stopped, true},
		"a dry run, refused":     {"server", v1alpha1.ResultRefused, "owned by Argo CD", stopped, true},
		"a dry run that goes on": {"server", v1alpha1.ResultRefused, "owned by Argo CD", "", false},
		"interrupted":            {"none", v1alpha1.ResultPlanned, stopped, stopped, false},
		"stopped half way":       {"none", v1alpha1.ResultChanged, "", stopped, false},
		"nobody knows":           {"none", v1alpha1.ResultUnknown, "no answer", stopped, false},
	} {
		doc := drainDocument(249)
		doc.DryRun, doc.Shifts = c.dryRun, nil
		for n := range doc.Changes {
			doc.Changes[n].Message = c.planned
		}
		doc.Changes[0].Result, doc.Changes[0].Message = c.first, c.message
		for view, got := range map[string]string{"drain": text(t, Drain(doc, false)), "others": text(t, Changes(doc.ChangeReport, false))} {
			switch {
			case c.cut:
				want := "CLUSTER   NAMESPACE   SERVICE   RESULT    CHANGE\nus        shop        svc-00    " + c.first + "   " + c.message + "\n" +
					"248 other changes were planned and are not written; -o wide and -o json show them\n"
				if d := cmp.Diff(strings.Fields(want), strings.Fields(got)); d != "" {
					t.Errorf("%s, %s: %s", name, view, d)
				}
			case strings.Contains(got, "other changes were planned"):
				t.Errorf("%s, %s: rows are left out:\n%s", name, view, got)
			}
		}
		for view, got := range map[string]string{"drain": text(t, Drain(doc, true)), "others": text(t, Changes(doc.ChangeReport, true))} {
			if strings.Count(got, "svc-") != 249 {
				t.Errorf("%s, %s: -o wide does not show all", name, view)
			}
		}
	}
	doc := drainDocument(200)
	for n := range doc.Changes[:199] {
		doc.Changes[n].Result, doc.Changes[n].Message = v1alpha1.ResultRefused, "owned by Argo CD"
	}
	if got := text(t, Changes(doc.ChangeReport, false)); !strings.Contains(got, "refused   199 ") || !strings.Contains(got, "\n1 other change was planned and is not written;") {
		t.Errorf("many for one reason are counted: %s", got)
	}
}
