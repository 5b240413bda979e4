package view

import (
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// Watch shows one row for each Service as List does, and what changed.
func Watch(doc v1alpha1.ServiceList, namespaces bool) []output.Section {
	sections := List(doc, namespaces)
	t := sections[0].Table
	columns := output.NewTable("CHANGE").ColumnDefinitions
	t.ColumnDefinitions = append(t.ColumnDefinitions, columns...)
	for i, s := range doc.Services {
		what := output.Clean(changeText(s.Changes))
		if what == "" {
			what = "-"
		}
		t.Rows[i].Cells = append(t.Rows[i].Cells, what)
	}
	return sections
}

// changeText describes the changes: "eu: global false->true, ready 1->2; ap: cannot be read".
func changeText(changes []v1alpha1.ServiceChange) string {
	var parts []string
	cluster := ""
	for i, c := range changes {
		what := fmt.Sprintf("%s %s->%s", strings.TrimSuffix(c.Field, "Endpoints"), orNone(c.From), orNone(c.To))
		switch c.Field + c.To {
		case "readfalse":
			what = "cannot be read"
		case "readtrue":
			what = "is read again"
		case "drainedtrue":
			what = "drained"
		case "drainedfalse":
			what = "no longer drained"
		case "presentfalse":
			what = "deleted"
		case "presenttrue":
			what = "added"
		}
		switch {
		case c.Cluster == "":
			parts = append(parts, what)
		case i > 0 && c.Cluster == cluster:
			parts[len(parts)-1] += ", " + what
		default:
			parts = append(parts, c.Cluster+": "+what)
		}
		cluster = c.Cluster
	}
	return strings.Join(parts, "; ")
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}
