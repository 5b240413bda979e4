package lab

import (
	"context"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/cluster"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/proc"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// The conditions of a part of the lab.
const (
	Ready    = "ready"
	NotReady = "not ready"
	Frozen   = "frozen"
	Stopped  = "stopped" // on purpose
	Dead     = "dead"
)

// Status is what of a lab runs.
type Status struct {
	Clusters []ClusterStatus
	// Net is nil in a lab without nodes.
	Net *PartStatus
	// Chooser is who chooses the backends, and Datapath what moves packets: values of state.Lab.
	Chooser  string
	Datapath string
	// ChooserProcess is nil where the network chooses by itself, and ChooserVersion the Cilium whose code chooses.
	ChooserProcess *PartStatus
	ChooserVersion string
}

// PartStatus is how a process of the lab is. PID is 0 if it has none.
type PartStatus struct {
	PID       int
	Condition string
}

// ClusterStatus is a cluster and how its control plane is.
type ClusterStatus struct {
	state.Cluster
	PartStatus
}

// Healthy says whether all parts are ready.
func (s *Status) Healthy() bool {
	for _, c := range s.Clusters {
		if c.Condition != Ready {
			return false
		}
	}
	return (s.Net == nil || s.Net.Condition == Ready) && (s.ChooserProcess == nil || s.ChooserProcess.Condition == Ready)
}

// Status looks at the processes of the lab and asks the API servers.
func (m *Manager) Status(ctx context.Context) (*Status, error) {
	l, err := m.Dir.Read()
	if err != nil {
		return nil, err
	}
	status := &Status{}
	for _, c := range l.Clusters {
		part, err := m.part(m.Dir.ClusterPID(c.Name), func() bool { return cluster.Ready(ctx, c) })
		if err != nil {
			return nil, err
		}
		if part.Condition == Dead && m.stopped(c.Name) {
			part.Condition = Stopped
		}
		status.Clusters = append(status.Clusters, ClusterStatus{Cluster: c, PartStatus: part})
	}
	if l.Net {
		part, err := m.part(m.Dir.NetPID(), m.netReady)
		if err != nil {
			return nil, err
		}
		status.Net, status.Chooser, status.Datapath = &part, l.Chooser, l.Datapath
	}
	if l.Chooser == state.ChooserCilium {
		part, err := m.part(m.Dir.ChooserPID(), func() bool {
			status.ChooserVersion = m.chooserVersion(ctx)
			return status.ChooserVersion != ""
		})
		if err != nil {
			return nil, err
		}
		status.ChooserProcess = &part
	}
	return status, nil
}

func (m *Manager) part(pidFile string, ready func() bool) (PartStatus, error) {
	record, ok, err := proc.Read(pidFile)
	if err != nil {
		return PartStatus{}, err
	}
	if !ok {
		return PartStatus{Condition: Dead}, nil
	}
	switch record.Condition() {
	case proc.Gone:
		return PartStatus{Condition: Dead}, nil
	case proc.Frozen:
		return PartStatus{PID: record.PID, Condition: Frozen}, nil
	default:
		if ready() {
			return PartStatus{PID: record.PID, Condition: Ready}, nil
		}
		return PartStatus{PID: record.PID, Condition: NotReady}, nil
	}
}
