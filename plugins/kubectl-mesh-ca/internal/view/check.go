package view

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/junit"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// checkName is the command, as reports name it.
const checkName = "kubectl mesh-ca check"

// horizon is how far the calendar looks ahead, unless -o wide is given.
const horizon = 366 * 24 * time.Hour

// Check shows what ends when, the findings, and how to fix them. With wide the calendar has no end.
func Check(doc v1alpha1.CACheckReport, wide bool) []output.Section {
	title := "Calendar"
	if !wide {
		title = "Calendar of the next 12 months"
	}
	sections := []output.Section{{Title: title, Table: calendar(doc, wide)}}
	if len(sections[0].Table.Rows) == 0 {
		sections[0] = output.Section{Text: []string{"No certificate ends in the next 12 months."}}
	}
	if lines := dueUnknown(doc); len(lines) > 0 {
		sections = append(sections, output.Section{Title: "Cannot determine when cert-manager issues these certificates again", Text: lines})
	}
	if t := findings(doc.Findings); len(t.Rows) > 0 {
		sections = append(sections, output.Section{Title: "Findings", Table: t}, output.Section{Title: "Suggested fix", Text: fixes(doc.Findings)})
	}
	for i := range sections {
		sections[i].Width = width
	}
	return sections
}

// dueUnknown lists the certificates of cert-manager whose next issuance is not known, one line for each reason and cluster.
func dueUnknown(doc v1alpha1.CACheckReport) []string {
	var order []string
	names := map[string][]string{}
	for _, c := range doc.Certificates {
		if c.DueFromMessage == "" {
			continue
		}
		key := c.Cluster + "\x00" + c.DueFromMessage
		if names[key] == nil {
			order = append(order, key)
		}
		names[key] = append(names[key], c.Name)
	}
	var out []string
	for _, key := range order {
		cluster, why, _ := strings.Cut(key, "\x00")
		out = append(out, wrapped(fmt.Sprintf("  %s: %s: %s", cluster, strings.Join(names[key], ", "), why), "    ")...)
	}
	return out
}

// entry is one line of the calendar: what happens to certificates of one kind on one day.
type entry struct {
	day                      time.Time
	cluster, what, renewedBy string
	names                    []string
}

// calendar lists what ends and what is due, the next first. Leaf certificates of a cluster that end on one day, and that the same tool renews, are one row.
func calendar(doc v1alpha1.CACheckReport, all bool) *metav1.Table {
	var entries []*entry
	add := func(e entry, name string) {
		same := func(o *entry) bool {
			return o.day.Equal(e.day) && o.cluster == e.cluster && o.what == e.what && o.renewedBy == e.renewedBy
		}
		if i := slices.IndexFunc(entries, same); i >= 0 {
			entries[i].names = append(entries[i].names, name)
			return
		}
		e.names = []string{name}
		entries = append(entries, &e)
	}
	for _, c := range doc.Certificates {
		if c.DueFrom != nil && c.DueFrom.Before(c.NotAfter) {
			add(entry{day: midnight(*c.DueFrom), cluster: c.Cluster, what: "is due", renewedBy: c.RenewedBy}, c.Name)
		}
		add(entry{day: midnight(c.NotAfter), cluster: c.Cluster, what: "expires", renewedBy: c.RenewedBy}, c.Name)
	}
	for _, f := range doc.TrustFiles {
		add(entry{day: midnight(f.NotAfter), cluster: f.Cluster, what: "expires", renewedBy: f.RenewedBy}, f.File)
	}
	slices.SortStableFunc(entries, func(a, b *entry) int { return cmp.Or(a.day.Compare(b.day), cmp.Compare(a.cluster, b.cluster)) })
	t := output.NewTable("DATE", "DAYS", "CLUSTER", "CERTIFICATE", "EVENT", "RENEWED-BY")
	for _, e := range entries {
		if !all && e.day.After(doc.AsOf.Add(horizon)) {
			continue
		}
		name := e.names[0]
		if more := len(e.names) - 1; more > 0 {
			name += fmt.Sprintf(" and %d more", more)
		}
		output.AddRow(t, e.day.Format(time.DateOnly), fmt.Sprint(daysBetween(doc.AsOf, e.day)), e.cluster, name, e.what, e.renewedBy)
	}
	return t
}

func midnight(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// fixes lists how to fix the findings, each once.
func fixes(fs []v1alpha1.Finding) []string {
	var out []string
	seen := map[string]bool{}
	for _, f := range fs {
		do := cmp.Or(f.Fix, f.Advice)
		if do == "" || seen[f.ID+do] {
			continue
		}
		seen[f.ID+do] = true
		if f.Fix != "" {
			out = append(out, fmt.Sprintf("  %s %s: %s", f.ID, f.Object, do))
			continue
		}
		out = append(out, wrapped(fmt.Sprintf("  %s: %s", f.ID, do), "         ")...)
	}
	return out
}

// CheckJUnit writes the findings as a report of tests.
func CheckJUnit(w io.Writer, doc v1alpha1.CACheckReport, threshold finding.Severity, ignored []string) error {
	r := junit.Report{Name: checkName, Findings: doc.Findings, Rules: finding.Authority(), Threshold: threshold, Ignored: ignored}
	for _, m := range doc.Members {
		if m.Error != nil {
			name := cmp.Or(m.Name, m.Context)
			r.Gaps = append(r.Gaps, junit.Gap{Cluster: name, Text: fmt.Sprintf("cluster %s could not be read: %s: %s", name, m.Error.Class, m.Error.Message)})
		}
	}
	for _, n := range doc.NotExamined {
		r.Gaps = append(r.Gaps, junit.Gap{Cluster: n.Cluster, Text: "cluster " + n.Cluster + ": " + n.Message, IDs: n.Findings})
	}
	if !doc.Complete && len(r.Gaps) == 0 {
		r.Gaps = append(r.Gaps, junit.Gap{Cluster: strings.Join(names(doc.Members), ", "), Text: incomplete})
	}
	return r.Write(w)
}

// incomplete says that something in a cluster was not examined.
const incomplete = "something could not be read or parsed, see the findings; the result is not complete"

func names(members []v1alpha1.Member) []string {
	out := make([]string, len(members))
	for i, m := range members {
		out[i] = m.Name
	}
	return out
}
