// Package view turns the documents of mesh-ca into tables. It is pure; the clock is a parameter.
package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// maxMatrix is the largest number of clusters whose matrix fits a terminal. For more clusters, only the pairs that are not ok are listed.
const maxMatrix = 12

// Status shows the CAs, the leaf certificates, who trusts whom and the findings.
func Status(doc v1alpha1.CAReport, now time.Time) []output.Section {
	sections := []output.Section{{Table: authorities(doc, now)}}
	if t := leaves(doc, now); len(t.Rows) > 0 {
		sections = append(sections, output.Section{Title: "Leaf certificates", Table: t})
	}
	if len(doc.Clusters) > 1 {
		sections = append(sections, trust(doc))
	}
	sections = append(sections, running(doc.Live)...)
	if len(doc.Findings) > 0 {
		sections = append(sections, output.Section{Title: "Findings", Table: findings(doc.Findings)})
	}
	return sections
}

// authorities returns one row for each member, including members that could not be read.
func authorities(doc v1alpha1.CAReport, now time.Time) *metav1.Table {
	t := output.NewTable("CLUSTER", "CONTEXT", "CA", "SUBJECT", "EXPIRES", "KEY", "OWNER", "+PUBLIC-KEY", "+KEY-ID", "+MARK", "+FINGERPRINT")
	read := map[string]v1alpha1.CACluster{}
	for _, c := range doc.Clusters {
		read[c.Cluster] = c
	}
	for _, m := range doc.Members {
		c, ok := read[m.Name]
		switch {
		case !ok && m.Error != nil:
			output.AddRow(t, m.Name, m.Context, "? ("+m.Error.Class+")", "?", "?", "?", "?", "?", "?", "?", "?")
		case !ok:
			output.AddRow(t, m.Name, m.Context, "?", "?", "?", "?", "?", "?", "?", "?", "?")
		case c.CA == nil:
			output.AddRow(t, m.Name, m.Context, "-", c.CAMessage, "-", "-", "-", "-", "-", "-", "-")
		default:
			a := c.CA
			output.AddRow(t, m.Name, m.Context, pki.Short(a.Fingerprint), a.Subject, expires(a.NotAfter, now), a.Key, owner(&a.Owner),
				pki.Short(a.PublicKeyHash), pki.Short(a.SubjectKeyID), a.Owner.Mark, a.Fingerprint)
		}
	}
	return t
}

func leaves(doc v1alpha1.CAReport, now time.Time) *metav1.Table {
	t := output.NewTable("CLUSTER", "SECRET", "EXPIRES", "SIGNED-BY", "OWNER", "STATUS", "+KEY", "+SUBJECT", "+FINGERPRINT", "+NAMES")
	for _, c := range doc.Clusters {
		for _, l := range c.Leafs {
			if l.Certificate == nil {
				output.AddRow(t, c.Cluster, l.Secret, "-", "-", owner(l.Owner), l.Message, "-", "-", "-", "-")
				continue
			}
			output.AddRow(t, c.Cluster, l.Secret, expires(l.NotAfter, now), signedBy(l), owner(l.Owner), leafStatus(l),
				l.Key, l.Subject, pki.Short(l.Fingerprint), strings.Join(slices.Concat(l.DNSNames, l.IPAddresses), ","))
		}
	}
	return t
}

func signedBy(l v1alpha1.LeafCertificate) string {
	switch {
	case l.SignedByCA == nil:
		return "?"
	case *l.SignedByCA:
		return pki.SecretCA
	}
	return "another CA"
}

func leafStatus(l v1alpha1.LeafCertificate) string {
	if len(l.Problems) == 0 {
		return "ok"
	}
	s := l.Problems[0].Message
	if more := len(l.Problems) - 1; more > 0 {
		s += fmt.Sprintf(" (+%d)", more)
	}
	return s
}

// trust returns the matrix: the row's processes log in to the column's etcd.
func trust(doc v1alpha1.CAReport) output.Section {
	verdicts := map[[2]string]string{}
	for _, p := range doc.Trust {
		verdicts[[2]string{p.Client, p.Server}] = p.Verdict
	}
	columns := []string{"CLIENT"}
	for _, m := range doc.Members {
		columns = append(columns, m.Name)
	}
	t := output.NewTable(columns...)
	output.MarkStates(t, 1)
	if len(doc.Members) > maxMatrix {
		return trustList(doc)
	}
	for _, client := range doc.Members {
		row := []string{client.Name}
		for _, server := range doc.Members {
			v, judged := verdicts[[2]string{client.Name, server.Name}]
			switch {
			case client.Name == server.Name:
				v = "-"
			case !judged:
				v = "?"
			}
			row = append(row, v)
		}
		output.AddRow(t, row...)
	}
	if !output.Fits(t) {
		return trustList(doc)
	}
	return output.Section{Title: "Who trusts whom, according to the mounted files (the row logs in to the column)", Table: t}
}

func trustList(doc v1alpha1.CAReport) output.Section {
	t := output.NewTable("CLIENT", "SERVER", "TRUST")
	good := 0
	for _, p := range doc.Trust {
		if p.Verdict == string(pki.OK) {
			good++
			continue
		}
		output.AddRow(t, p.Client, p.Server, p.Verdict)
	}
	s := output.Section{Title: fmt.Sprintf("Who trusts whom: %d of %d pairs ok", good, len(doc.Trust))}
	if len(t.Rows) > 0 {
		s.Table = t
	}
	return s
}

func findings(fs []v1alpha1.Finding) *metav1.Table {
	t := output.NewTable("ID", "SEVERITY", "CLUSTER", "OBJECT", "MESSAGE", "+WHY", "+FIX")
	for _, f := range fs {
		output.AddRow(t, f.ID, f.Severity, strings.Join(f.Clusters, ","), f.Object, f.Message, f.Reason, f.Fix)
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

// expires returns a date and its distance in whole days.
func expires(t, now time.Time) string {
	day := t.UTC().Format(time.DateOnly)
	if t.Before(now) {
		return day + " (expired)"
	}
	return fmt.Sprintf("%s (%dd)", day, int(t.Sub(now).Hours()/24))
}
