package probe

import (
	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
)

// describeSchedule describes how a run kept its schedule, except for what follows from its requests. It is nil if the run had none.
func describeSchedule(s sender.Schedule) *v1alpha1.ProbeSchedule {
	if s.Planned() == 0 {
		return nil
	}
	return &v1alpha1.ProbeSchedule{Planned: s.Planned(), Late: s.Late, Dropped: s.Dropped}
}
