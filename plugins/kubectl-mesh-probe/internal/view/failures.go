package view

import (
	"fmt"
	"strconv"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// unattributed is shown for an error if it is unknown which cluster should have answered.
const unattributed = "unattributed"

// failures is the table of errors. Its times count from the beginning of the run, as those of the timeline do.
func failures(r v1alpha1.ProbeReport) (output.Section, bool) {
	t := output.NewTable(withURL(r, 1, "URL", "FROM", "ERROR", "COUNT", "CLUSTER", "FIRST", "LAST", "MESSAGE")...)
	for _, c := range r.Clients {
		for _, e := range c.Errors {
			output.AddRow(t, withURL(r, 1, c.URL, c.Name, e.Class, strconv.Itoa(e.Count), failing(e), since(r, e.FirstTime), since(r, e.LastTime), dash(e.Message))...)
		}
	}
	return output.Section{Table: t}, len(t.Rows) > 0
}

// failing is the cluster of an error.
func failing(e v1alpha1.ProbeError) string {
	switch {
	case e.Cluster == "":
		return unattributed
	case e.Predicted:
		return e.Cluster + " (predicted)"
	}
	return e.Cluster
}

// since is a moment as the time from the beginning of the run.
func since(r v1alpha1.ProbeReport, at *time.Time) string {
	if at == nil || len(r.Intervals) == 0 {
		return none
	}
	return offset(at.Sub(r.Intervals[0].StartTime))
}

// offset is a time from the beginning of the run, such as +1.25s.
func offset(d time.Duration) string { return fmt.Sprintf("%+.2fs", d.Seconds()) }
