package view

import (
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// Plan shows the planned changes, old to new, with their clusters.
func Plan(doc v1alpha1.CAChangeReport) []output.Section {
	servers := map[string]string{}
	for _, m := range doc.Members {
		servers[m.Context] = m.Server
	}
	t := output.NewTable("CLUSTER", "CONTEXT", "SERVER", "SECRET", "OLD", "NEW", "RESULT")
	for _, c := range doc.Changes {
		if len(doc.Phases) > 0 && !isAuthority(c) {
			continue
		}
		output.AddRow(t, c.Cluster, c.Context, servers[c.Context], c.Namespace+"/"+strings.TrimPrefix(c.Object, "secret/"), authorityOf(c.Before), authorityOf(c.After), c.Result)
	}
	return append([]output.Section{{Title: "Plan: " + doc.Action, Table: t, Text: notes(doc)}}, followUp(doc)...)
}

// notes returns the messages of the changes. They are sentences, too long for a column.
func notes(doc v1alpha1.CAChangeReport) []string {
	var out []string
	for _, c := range doc.Changes {
		if c.Message != "" && (len(doc.Phases) == 0 || isAuthority(c) || c.Result != v1alpha1.ResultChanged && c.Result != v1alpha1.ResultPlanned) {
			out = append(out, fmt.Sprintf("  %s %s: %s", c.Cluster, strings.TrimPrefix(c.Object, "secret/"), c.Message))
		}
	}
	return out
}

// Changes shows the result for each object.
func Changes(doc v1alpha1.CAChangeReport) []output.Section {
	t := output.NewTable("CLUSTER", "SECRET", "OLD", "NEW", "RESULT", "CONTEXT")
	for _, c := range doc.Changes {
		if len(doc.Phases) > 0 && !isAuthority(c) {
			continue
		}
		output.AddRow(t, c.Cluster, c.Namespace+"/"+strings.TrimPrefix(c.Object, "secret/"), authorityOf(c.Before), authorityOf(c.After), c.Result, c.Context)
	}
	return append([]output.Section{{Table: t, Text: notes(doc)}}, followUp(doc)...)
}

// authorityOf returns a fingerprint, with the state of the key if that is not ok.
func authorityOf(facts map[string]*string) string {
	fingerprint, key := facts["fingerprint"], facts["key"]
	switch {
	case fingerprint == nil:
		return "-"
	case key != nil && *key != string(pki.KeyMatches):
		return fmt.Sprintf("%s (key: %s)", pki.Short(*fingerprint), *key)
	}
	return pki.Short(*fingerprint)
}
