package view

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// Next lists the next steps by cluster, numbered, with commands that can be pasted. status is the command that shows the result.
func Next(steps []v1alpha1.NextStep, status string) []string {
	if len(steps) == 0 {
		return nil
	}
	lines := []string{"", "Next steps. Until they are done in every cluster, new connections between a renewed cluster and another cluster fail. Service",
		"traffic continues with the last state that each cluster received. In each cluster, in this order:"}
	lines = append(lines, stepLines(steps, func(s, _ string) []string { return []string{s} })...)
	return append(lines, "", "Then check who trusts whom: "+status)
}

// statusNext lists the steps as status shows them: prose is wrapped, commands are not.
func statusNext(steps []v1alpha1.NextStep) []string { return stepLines(steps, wrapped) }

// stepLines lists steps by cluster. fill breaks a line of prose; the second argument indents its continuation.
func stepLines(steps []v1alpha1.NextStep, fill func(line, indent string) []string) []string {
	var lines []string
	cluster, n, last := "", 0, false
	for _, s := range steps {
		if s.AfterAll && !last {
			last, cluster = true, ""
			lines = append(lines, "", "When these steps are done in every cluster:")
		}
		if at := placeOf(s); at != cluster {
			cluster, n = at, 0
			lines = append(lines, "", cluster+":")
		}
		n++
		lines = append(lines, fill(fmt.Sprintf("  %d. %s", n, s.Reason), "     ")...)
		if len(s.Objects) > 0 {
			lines = append(lines, fill("     ("+strings.ReplaceAll(strings.Join(s.Objects, ", "), "secret/", "")+")", "      ")...)
		}
		if s.Command != "" {
			lines = append(lines, "     "+s.Command)
		}
	}
	return lines
}

// placeOf names the cluster of a step, or its clusters.
func placeOf(s v1alpha1.NextStep) string {
	if s.Cluster != "" {
		return s.Cluster
	}
	return strings.Join(s.Clusters, ", ")
}

// wrapped breaks a line of prose at blanks, so that it fits the width. A word that is longer stays whole.
func wrapped(line, indent string) []string {
	var out []string
	rest := strings.TrimLeft(line, " ")
	current := line[:len(line)-len(rest)]
	empty := true
	for word := range strings.FieldsSeq(rest) {
		if !empty && utf8.RuneCountInString(current)+1+utf8.RuneCountInString(word) > width {
			out = append(out, current)
			current, empty = indent, true
		}
		if !empty {
			current += " "
		}
		current += word
		empty = false
	}
	return append(out, current)
}
