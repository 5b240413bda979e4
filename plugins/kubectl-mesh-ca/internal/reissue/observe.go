package reissue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
)

// Observer tells what the processes of a cluster do. Tests have a model of them.
type Observer interface {
	Running(ctx context.Context, s *ca.State) Running
}

// Running is what the processes of one cluster do.
type Running struct {
	// Unobserved says why something is not known; empty if everything is.
	Unobserved string
	// EtcdBehind says which etcd replicas have not read their present CA file.
	EtcdBehind  []string
	Connections []Connection
}

// Connection is one client process, and one peer.
type Connection struct {
	Kind, Pod, Peer string // Kind is one of the kinds of package live
	Connected       bool
	// Unknown: nobody could say whether it is connected. It counts as not connected where something waits for it.
	Unknown bool
	// Read: the client has read its CA file since that was written last, so that a restart would change nothing. Why says what is wrong with the connection.
	Read bool
	Why  string
}

// Processes asks the running processes.
type Processes struct {
	live.Observer
	Now func() time.Time
}

// window is how far back the logs of etcd are read.
const window = time.Minute

// Running observes one cluster.
func (p Processes) Running(ctx context.Context, s *ca.State) Running {
	seen := live.Observe(ctx, p.Observer, s.Member, s.Member.Earliest(p.Now()).Add(-window))
	out := Running{Unobserved: strings.Join(seen.Unobserved, "; ")}
	judged := live.Judge([]*ca.State{s}, map[string]live.Observation{s.Member.Name: seen}, p.Now())
	for _, c := range judged.Clusters {
		for _, e := range c.EtcdReplicas {
			if e.Message != "" || e.Trust != string(pki.Fresh) {
				out.EtcdBehind = append(out.EtcdBehind, fmt.Sprintf("etcd in pod %s: %s", e.Pod, e.Message+e.Reason))
			}
		}
		for _, client := range c.Clients {
			out.Connections = append(out.Connections, Connection{
				Kind: client.Kind, Pod: client.Pod, Peer: client.Peer, Connected: client.Connected != nil && *client.Connected, Unknown: client.Connected == nil,
				Read: client.Trust == string(pki.Fresh) || client.CAFileReadTime != nil && client.CAFileWriteTime != nil && !client.CAFileReadTime.Before(*client.CAFileWriteTime), Why: client.Reason,
			})
		}
	}
	return out
}

// observeAll observes all clusters at once. Each request has its own deadline.
func observeAll(ctx context.Context, o Observer, states []*ca.State) map[string]Running {
	of, members := map[*clusters.Member]*ca.State{}, make([]*clusters.Member, len(states))
	for n, s := range states {
		of[s.Member], members[n] = s, s.Member
	}
	out := map[string]Running{}
	for _, r := range fanout.Each(ctx, members, 0, func(ctx context.Context, m *clusters.Member) (Running, error) { return o.Running(ctx, of[m]), nil }) {
		if r.Err != nil {
			r.Value.Unobserved = r.Err.Error()
		}
		out[r.Member.Name] = r.Value
	}
	return out
}
