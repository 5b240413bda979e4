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
		output.AddRow(t, c.Cluster, c.Context, servers[c.Context], c.Namespace+"/"+strings.TrimPrefix(c.Object, "secret/"), authorityOf(c.Before), authorityOf(c.After), c.Result)
	}
	return []output.Section{{Title: "Plan: " + doc.Action, Table: t, Text: notes(doc)}}
}

// notes returns the messages of the changes. They are sentences, too long for a column.
func notes(doc v1alpha1.CAChangeReport) []string {
	var out []string
	for _, c := range doc.Changes {
		if c.Message != "" {
			out = append(out, fmt.Sprintf("  %s %s: %s", c.Cluster, strings.TrimPrefix(c.Object, "secret/"), c.Message))
		}
	}
	return out
}

// Changes shows the result for each object.
func Changes(doc v1alpha1.CAChangeReport) []output.Section {
	t := output.NewTable("CLUSTER", "SECRET", "OLD", "NEW", "RESULT", "CONTEXT")
	for _, c := range doc.Changes {
		output.AddRow(t, c.Cluster, c.Namespace+"/"+strings.TrimPrefix(c.Object, "secret/"), authorityOf(c.Before), authorityOf(c.After), c.Result, c.Context)
	}
	return []output.Section{{Table: t, Text: notes(doc)}}
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

// Next lists the next steps by cluster, numbered, with commands that can be pasted. status is the command that shows the result.
func Next(steps []v1alpha1.NextStep, status string) []string {
	if len(steps) == 0 {
		return nil
	}
	lines := []string{"", "Next steps. Until they are done in every cluster, new connections between a renewed cluster and another cluster fail. Service",
		"traffic continues with the last state that each cluster received. In each cluster, in this order:"}
	cluster, n, last := "", 0, false
	for _, s := range steps {
		if s.AfterAll && !last {
			last, cluster = true, ""
			lines = append(lines, "", "When these steps are done in every cluster:")
		}
		if s.Cluster != cluster {
			cluster, n = s.Cluster, 0
			lines = append(lines, "", cluster+":")
		}
		n++
		lines = append(lines, fmt.Sprintf("  %d. %s", n, s.Why))
		if len(s.Objects) > 0 {
			lines = append(lines, "     ("+strings.ReplaceAll(strings.Join(s.Objects, ", "), "secret/", "")+")")
		}
		if s.Command != "" {
			lines = append(lines, "     "+s.Command)
		}
	}
	return append(lines, "", "Then check who trusts whom: "+status)
}
