package view

import (
	"fmt"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// schedule describes how a pod kept its schedule, in one line.
func schedule(client string, s v1alpha1.ProbeSchedule) string {
	line := fmt.Sprintf("%s: schedule: ", client)
	if l := s.LagMs; l != nil {
		line += fmt.Sprintf("lag p99 %.1fms, max %.1fms; ", l.P99, l.Max)
	}
	return line + fmt.Sprintf("%d of %d late, %d not sent; latencies count from the planned start", s.Late, s.Planned, s.Dropped)
}
