package view

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

const (
	// maxMatrix is the largest number of clusters whose matrix fits a terminal. For more clusters, only the pairs that are not ok are listed.
	maxMatrix = 12
	// maxReasons is how many directions are explained without -o wide.
	maxReasons = 20
)

// isDirection reports whether a finding is about one direction between two clusters: these are shown with the matrix.
func isDirection(f v1alpha1.Finding) bool {
	return f.ID == finding.Trust.ID || f.ID == finding.TrustUnknown.ID
}

// trust shows who trusts whom, and why not.
func trust(doc v1alpha1.CAReport, wide bool) []output.Section {
	s := output.Section{Title: "Who trusts whom, according to the mounted files (the row logs in to the column)", Table: matrix(doc)}
	if len(doc.Members) > maxMatrix || output.Width(s.Table) > width {
		s = counts(doc)
	} else if slices.ContainsFunc(doc.Trust, func(p v1alpha1.TrustPair) bool { return !p.Configured && p.WithoutClusterMesh == "" }) {
		s.Text = append(s.Text, "(In parentheses: the client is not configured to connect to the server.)")
	}
	for _, f := range doc.Federations {
		line := fmt.Sprintf("Federation: %s have different CAs and trust each other (by %s).", strings.Join(f.Clusters, ", "), strings.Join(f.Means, " and "))
		s.Text = append(s.Text, wrapped(line, "")...)
	}
	sections := []output.Section{s}
	if why := reasons(doc, wide); why.Table != nil {
		sections = append(sections, why)
	}
	return sections
}

func matrix(doc v1alpha1.CAReport) *metav1.Table {
	pairs := map[[2]string]v1alpha1.TrustPair{}
	for _, p := range doc.Trust {
		pairs[[2]string{p.Client, p.Server}] = p
	}
	columns := []string{"CLIENT"}
	for _, m := range doc.Members {
		columns = append(columns, m.Name)
	}
	t := output.NewTable(columns...)
	output.MarkStates(t, 1)
	if len(doc.Members) > maxMatrix {
		return t
	}
	for _, client := range doc.Members {
		row := []string{client.Name}
		for _, server := range doc.Members {
			p, judged := pairs[[2]string{client.Name, server.Name}]
			switch {
			case client.Name == server.Name, p.WithoutClusterMesh != "":
				row = append(row, "-")
			case !judged:
				row = append(row, "?")
			case !p.Configured:
				row = append(row, "("+p.Verdict+")")
			default:
				row = append(row, p.Verdict)
			}
		}
		output.AddRow(t, row...)
	}
	return t
}

// counts stands for the matrix of a mesh that is too large for one.
func counts(doc v1alpha1.CAReport) output.Section {
	good, configured, all := 0, 0, 0
	for _, p := range doc.Trust {
		if p.WithoutClusterMesh != "" {
			continue
		}
		all++
		if p.Verdict == string(pki.OK) {
			good++
		}
		if p.Configured {
			configured++
		}
	}
	return output.Section{Title: fmt.Sprintf("Who trusts whom: %d of %d pairs ok, %d of them configured", good, all, configured)}
}

// reasons lists the directions that are not ok, each with its reason; those that are configured come first.
func reasons(doc v1alpha1.CAReport, wide bool) output.Section {
	found := map[string]v1alpha1.Finding{}
	for _, f := range doc.Findings {
		if isDirection(f) {
			found[f.Object] = f
		}
	}
	t := output.NewTable("ID", "CLIENT", "SERVER", "TRUST", "REASON")
	s := output.Section{Title: "Why not"}
	left := 0
	for _, configured := range []bool{true, false} {
		for _, p := range doc.Trust {
			if p.Configured != configured || p.Verdict == string(pki.OK) || p.WithoutClusterMesh != "" {
				continue
			}
			if len(t.Rows) == maxReasons && !wide {
				left++
				continue
			}
			verdict := p.Verdict
			if !configured {
				verdict = "(" + verdict + ")"
			}
			f := found[p.Client+" to "+p.Server]
			output.AddRow(t, f.ID, p.Client, p.Server, verdict, shortReason(p, f.Message))
		}
	}
	if len(t.Rows) > 0 {
		s.Table = t
	}
	if left > 0 {
		s.Text = []string{fmt.Sprintf("... and %d more; -o wide shows all", left)}
	}
	return s
}

// shortReason leaves out of a reason what the other columns say.
func shortReason(p v1alpha1.TrustPair, reason string) string {
	for _, ends := range [][2]string{{p.Client, p.Server}, {p.Server, p.Client}} {
		reason = strings.ReplaceAll(reason, fmt.Sprintf(" of %s is not accepted by %s: it is ", ends[0], ends[1]), fmt.Sprintf(" of %s is ", ends[0]))
	}
	return strings.ReplaceAll(reason, "secret/", "")
}

func findings(fs []v1alpha1.Finding) *metav1.Table {
	t := output.NewTable("ID", "SEVERITY", "CLUSTER", "OBJECT", "MESSAGE", "+WHY", "+FIX")
	for _, f := range fs {
		output.AddRow(t, f.ID, f.Severity, strings.Join(f.Clusters, ","), f.Object, f.Message, f.Reason, f.Fix)
	}
	return t
}
