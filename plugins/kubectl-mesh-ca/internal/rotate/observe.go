package rotate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
)

// Processes asks the running processes of the clusters. Whatever could not be observed counts as out of date: a gate never opens because of it.
type Processes struct {
	live.Observer
	Now func() time.Time
}

// Running observes one cluster.
func (p Processes) Running(ctx context.Context, s *ca.State, since time.Time) (Running, error) {
	seen := live.Observe(ctx, p.Observer, s.Member, since)
	if len(seen.Unobserved) > 0 {
		return Running{}, fmt.Errorf("%s", strings.Join(seen.Unobserved, "; "))
	}
	return running(s, seen, p.Now()), nil
}

// running turns an observation into what a rotation decides by. It is pure.
func running(s *ca.State, seen live.Observation, now time.Time) Running {
	var out Running
	judged := live.Judge([]*ca.State{s}, map[string]live.Observation{s.Member.Name: seen}, now)
	for _, cluster := range judged.Clusters {
		for _, e := range cluster.Etcd {
			switch {
			case e.Message != "":
				out.EtcdBehind = append(out.EtcdBehind, fmt.Sprintf("etcd in pod %s: %s", e.Pod, e.Message))
			case e.Trust != string(pki.Fresh):
				out.EtcdBehind = append(out.EtcdBehind, fmt.Sprintf("etcd in pod %s: %s", e.Pod, e.Reason))
			}
		}
		for _, c := range cluster.Clients {
			if c.Trust != string(pki.Fresh) {
				out.behind(c.Peer, fmt.Sprintf("%s %s, connection to %s: %s", c.Kind, c.Pod, c.Peer, c.Reason))
			}
			if c.Connected == nil || !*c.Connected {
				out.disconnected(c.Peer, fmt.Sprintf("%s %s is not connected to %s", c.Kind, c.Pod, c.Peer))
			}
		}
	}
	for _, served := range seen.Served {
		if len(served.Chain) > 0 {
			out.Presented = append(out.Presented, Seen{Where: "etcd in pod " + served.Pod, Certs: served.Chain})
		}
	}
	for _, f := range seen.Files {
		where := fmt.Sprintf("file %s on node %s", f.Path, f.Node)
		switch {
		case len(f.Certs) == 0:
			out.behind("", where+": "+f.Unknown)
		case strings.HasSuffix(f.Path, "-ca.crt"):
			out.Files = append(out.Files, Seen{Where: where, Certs: f.Certs})
		default:
			out.Presented = append(out.Presented, Seen{Where: where, Certs: f.Certs})
		}
	}
	for _, r := range seen.Rejected {
		if r.Reason != pki.NotTrust && r.At.After(out.Rejected) {
			out.Rejected, out.Rejection = r.At, r.Text
		}
	}
	return out
}

func (r *Running) behind(peer, text string) {
	r.ClientsBehind = append(r.ClientsBehind, text)
	r.Clients = append(r.Clients, Client{Peer: peer, Text: text, Behind: true})
}

func (r *Running) disconnected(peer, text string) {
	r.Disconnected = append(r.Disconnected, text)
	r.Clients = append(r.Clients, Client{Peer: peer, Text: text, Disconnected: true})
}
