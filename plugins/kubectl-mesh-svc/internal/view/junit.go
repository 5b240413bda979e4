package view

import (
	"io"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/junit"
)

// JUnit writes the findings as a report of tests.
func JUnit(w io.Writer, doc v1alpha1.FindingList, threshold finding.Severity, ignored []string) error {
	r := junit.Report{Name: checkName, Findings: doc.Findings, Rules: finding.Service(), Threshold: threshold, Ignored: ignored}
	for _, g := range gaps(doc) {
		r.Gaps = append(r.Gaps, junit.Gap{Cluster: g.cluster, Text: g.text, IDs: g.ids})
	}
	return r.Write(w)
}
