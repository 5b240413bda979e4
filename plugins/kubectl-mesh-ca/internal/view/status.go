// Package view turns the documents of mesh-ca into tables. It is pure; the clock is a parameter.
package view

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// width is the maximum width of the tables and of the text of status, unless -o wide is given.
const width = 100

// Status shows one row for each cluster, what is wrong with leaf certificates, who trusts whom and why not, the findings, and the next steps. With wide it
// shows all leaf certificates.
func Status(doc v1alpha1.CAReport, now time.Time, wide bool) []output.Section {
	sections := []output.Section{{Table: authorities(doc, now)}}
	if t := leaves(doc, now, wide); len(t.Rows) > 0 {
		title := "Leaf certificates that need attention"
		if wide {
			title = "Leaf certificates"
		}
		sections = append(sections, output.Section{Title: title, Table: t})
	}
	if len(doc.Clusters) > 1 {
		sections = append(sections, trust(doc, wide)...)
	}
	sections = append(sections, running(doc.Live)...)
	if t := findings(slices.DeleteFunc(slices.Clone(doc.Findings), isDirection)); len(t.Rows) > 0 {
		sections = append(sections, output.Section{Title: "Findings", Table: t})
	}
	if lines := statusNext(doc.NextSteps); len(lines) > 0 {
		sections = append(sections, output.Section{Title: "Next steps, in this order", Text: lines})
	}
	for i := range sections {
		sections[i].Width = width
	}
	return sections
}

// authorities returns one row for each member, including members that could not be read.
func authorities(doc v1alpha1.CAReport, now time.Time) *metav1.Table {
	t := output.NewTable("CLUSTER", "CA", "SUBJECT", "KEY", "DAYS", "OWNER", "CERTIFICATES",
		"+CONTEXT", "+EXPIRES", "+AUTH-MODE", "+PUBLIC-KEY", "+KEY-ID", "+MARK", "+FINGERPRINT")
	read := map[string]v1alpha1.CACluster{}
	for _, c := range doc.Clusters {
		read[c.Cluster] = c
	}
	row := func(cells ...string) {
		for len(cells) < len(t.ColumnDefinitions) {
			cells = append(cells, "-")
		}
		output.AddRow(t, cells...)
	}
	for _, m := range doc.Members {
		c, ok := read[m.Name]
		switch {
		case !ok && m.Error != nil:
			row(m.Name, "? ("+m.Error.Class+")", "?", "?", "?", "?", "?", m.Context)
		case !ok:
			row(m.Name, "?", "?", "?", "?", "?", "?", m.Context)
		case c.CA == nil:
			row(m.Name, "-", c.CAMessage, "-", "-", "-", summary(c, now), m.Context, "-", cmp.Or(c.AuthMode, "-"))
		default:
			a := c.CA
			row(m.Name, pki.Short(a.Fingerprint), a.Subject, a.Key, days(a.NotAfter, now), owner(&a.Owner), summary(c, now), m.Context, expires(a.NotAfter, now),
				cmp.Or(c.AuthMode, "-"), pki.Short(a.PublicKeyHash), pki.Short(a.SubjectKeyID), a.Owner.Mark, a.Fingerprint)
		}
	}
	return t
}

func owner(o *v1alpha1.Owner) string {
	switch {
	case o == nil:
		return "-"
	case o.Name == "":
		return o.Kind
	}
	return o.Kind + "/" + o.Name
}

// expires returns a date and its distance in days.
func expires(t, now time.Time) string {
	day := t.UTC().Format(time.DateOnly)
	if t.Before(now) {
		return day + " (expired)"
	}
	return fmt.Sprintf("%s (%dd)", day, daysBetween(now, t))
}

// days returns how many days are left.
func days(t, now time.Time) string {
	if t.Before(now) {
		return "expired"
	}
	return strconv.Itoa(daysBetween(now, t))
}

// daysBetween counts days of the calendar (UTC), so that a date and its distance fit in every table.
func daysBetween(from, to time.Time) int {
	return int(midnight(to).Sub(midnight(from)).Hours() / 24)
}
