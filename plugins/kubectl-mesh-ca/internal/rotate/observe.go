package rotate

import (
	"cmp"
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

// Processes asks the running processes of the clusters. Whatever could not be observed counts as out of date: a gate never opens because of it.
type Processes struct {
	live.Observer
	Now func() time.Time
}

// Running observes one cluster.
func (p Processes) Running(ctx context.Context, s *ca.State, look Look) (Running, error) {
	seen := live.Observe(ctx, p.Observer, s.Member, look.Since)
	if len(seen.Unobserved) > 0 {
		return Running{}, fmt.Errorf("%s", strings.Join(seen.Unobserved, "; "))
	}
	return running(s, seen, look.Ignore, p.Now()), nil
}

// observe asks the running processes.
func (r *run) observe(ctx context.Context) error {
	of := map[*clusters.Member]*cluster{}
	for _, c := range r.m.clusters {
		of[c.Member] = c
	}
	for _, res := range fanout.Each(ctx, r.m.members(), observeFactor*r.Change.Timeout, func(ctx context.Context, member *clusters.Member) (Running, error) {
		return r.Observer.Running(ctx, of[member].State, Look{Since: r.m.logsSince(of[member]), Ignore: r.Ignore})
	}) {
		if res.Err != nil {
			return fmt.Errorf("cluster %q: what its processes do could not be observed: %w", res.Member.Name, res.Err)
		}
		of[res.Member].running = res.Value
	}
	return ctx.Err()
}

// observeFactor is how many requests in a row an observation may take.
const observeFactor = 3

// running turns an observation into what a rotation decides by. It is pure.
func running(s *ca.State, seen live.Observation, ignore Ignore, now time.Time) Running {
	var out Running
	out.Addresses = addresses(s.Member.Name, seen.Clients)
	nodes := ignore.apply(s.Member.Name, &seen, &out)
	judged := live.Judge([]*ca.State{s}, map[string]live.Observation{s.Member.Name: seen}, now)
	for _, cluster := range judged.Clusters {
		for _, c := range cluster.Clients {
			if c.Trust != string(pki.Fresh) {
				out.behind(c.Peer, fmt.Sprintf("%s %s, connection to %s: %s", c.Kind, c.Pod, c.Peer, c.Reason))
			}
			switch {
			case c.Connected == nil:
				out.disconnected(c.Peer, fmt.Sprintf("cannot determine whether %s %s is connected to %s: %s", c.Kind, c.Pod, cmp.Or(c.Peer, "its peers"), c.Reason))
			case !*c.Connected:
				out.disconnected(c.Peer, fmt.Sprintf("%s %s is not connected to %s", c.Kind, c.Pod, c.Peer))
			}
		}
	}
	for _, served := range seen.Served {
		where := "etcd in pod " + served.Pod
		// What could not be seen has no certificates, which no gate accepts.
		out.Presented = append(out.Presented, Seen{Where: where, Certs: served.Chain})
		if len(served.Chain) == 0 {
			out.EtcdUnknown = append(out.EtcdUnknown, where+": "+served.Unknown)
		}
		behind, unknown := older(s, served)
		if behind != "" {
			out.EtcdBehind = append(out.EtcdBehind, where+": "+behind)
		}
		if unknown != "" {
			out.EtcdUnknown = append(out.EtcdUnknown, where+": "+unknown)
		}
	}
	pods, copies := map[string]bool{}, map[string]bool{}
	for _, f := range seen.Files {
		isCopy, known := copies[f.Path]
		if !known { // the same on all nodes
			isCopy = s.IsCopy(f.Path)
			copies[f.Path] = isCopy
		}
		where := fmt.Sprintf("file %s on node %s", f.Path, f.Node)
		pods[f.Pod] = true
		switch {
		case len(f.Certs) == 0:
			out.behind("", where+": "+f.Unknown)
			out.Presented, out.Files = append(out.Presented, Seen{Where: where}), append(out.Files, Seen{Where: where})
		case strings.HasSuffix(f.Path, "-ca.crt"):
			out.Files = append(out.Files, Seen{Where: where, Certs: f.Certs, Copy: isCopy})
		default:
			out.Presented = append(out.Presented, Seen{Where: where, Certs: f.Certs, Copy: isCopy})
		}
	}
	out.Agents = len(pods) + nodes
	for _, r := range seen.Rejected {
		if r.Reason != pki.NotTrust && r.At.After(out.Rejected) {
			out.Rejected, out.Rejection = r.At, r.Text
		}
	}
	return out
}

// older says why a pod of clustermesh-apiserver must be replaced, or why nobody knows; both are empty if it need not. Both times are the API server's. The age of the
// pod counts and not that of its etcd container: KVStoreMesh and the container apiserver keep what they have read, too, and a restarted etcd keeps its id, so that no
// client connects again.
func older(s *ca.State, served live.Served) (behind, unknown string) {
	file, ok := s.Side.EtcdTrust()
	switch written := s.Content(file).To; {
	case !ok:
		return "", "cannot determine which CA file it reads: " + file.Note
	case written.IsZero():
		return "", s.UntimedFile(file)
	case served.Created.IsZero():
		return "", "cannot determine when the pod was created"
	case served.Created.Before(written):
		return fmt.Sprintf("the pod was created at %s, before %s was written at %s", served.Created.UTC().Format(time.RFC3339), file.Source, written.UTC().Format(time.RFC3339)), ""
	}
	return "", ""
}

func (r *Running) behind(peer, text string) {
	r.ClientsBehind = append(r.ClientsBehind, text)
	r.Clients = append(r.Clients, Client{Peer: peer, Text: text, Behind: true})
}

func (r *Running) disconnected(peer, text string) {
	r.Disconnected = append(r.Disconnected, Lost{Peer: peer, Text: text})
	r.Clients = append(r.Clients, Client{Peer: peer, Text: text, Disconnected: true})
}
