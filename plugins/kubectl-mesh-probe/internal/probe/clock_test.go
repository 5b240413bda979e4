package probe

import (
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/meshtest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
)

// The time of a report is that of its requests, also if the clock was set during the run.
func TestReportIfClockIsSet(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var doc v1alpha1.ProbeReport
	includeTime(&doc, sender.Result{Start: start, End: meshtest.AfterStep(start.Add(2*time.Second), 60)})
	if took := doc.EndTime.Round(0).Sub(doc.StartTime.Round(0)); took != 2*time.Second {
		t.Errorf("the run took %s", took)
	}
}
