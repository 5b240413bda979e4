package rotate

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// Running is what the processes of one cluster do, as far as it matters to a rotation.
type Running struct {
	// EtcdBehind and ClientsBehind say which processes have not loaded their present CA file; ClientsBehind also of which nobody knows.
	EtcdBehind, ClientsBehind []string
	// EtcdUnknown says which etcd replicas could not be asked, or of which nobody knows whether they have loaded their present CA file.
	EtcdUnknown []string
	// Agents is how many agents were observed.
	Agents int
	// Presented are the chains that etcd replicas serve and that client nodes have; Files the CA files that client nodes see.
	Presented, Files []Seen
	// Disconnected are the clients that are not connected to a peer.
	Disconnected []Lost
	// Clients are the same by the cluster to which a client connects, for a command that concerns only some clusters.
	Clients []Client
	// Rejected is when an etcd replica last rejected a connection because of a certificate; zero for never. Rejection says which.
	Rejected  time.Time
	Rejection string
	// Ignored is what was left out of all this because a person wants it so, and Answers what was to be left out and must not be.
	Ignored, Answers []string
	// Addresses are those of the clients, with what has them.
	Addresses map[netip.Addr]string
}

// Look is what an observation looks at.
type Look struct {
	// Since is from when on the logs of etcd are read, by the cluster's clock; zero for as far as they go back.
	Since  time.Time
	Ignore Ignore
}

// Lost is a connection that a client does not have.
type Lost struct{ Peer, Text string }

// Client is a client that has not loaded its present CA file, or is not connected. Peer is empty where nobody knows to which cluster it connects.
type Client struct {
	Peer, Text           string
	Behind, Disconnected bool
}

// Seen are certificates that were seen at a process.
type Seen struct {
	Where string
	Certs []*x509.Certificate
	// Copy: a file that was copied from a peer, for connections to it (see pki.Copy). Only a person or Helm's values change it.
	Copy bool
}

// Observer tells what the processes of a cluster do. Tests have a model of them.
type Observer interface {
	Running(ctx context.Context, s *ca.State, look Look) (Running, error)
}

// missing says what a gate waits for; nothing when it is open. clusters are those of the phase.
func (m *mesh) missing(g Gate, phase Phase, quiet time.Duration) []string {
	var out []string
	add := func(c *cluster, format string, args ...any) {
		out = append(out, c.Member.Name+": "+fmt.Sprintf(format, args...))
	}
	for _, c := range m.clusters {
		if g.Settled && c.meshAPI != nil && !RolledOut(c.meshAPI) {
			add(c, "the pods of clustermesh-apiserver are being replaced")
		}
		observed := g.Presented != pki.AcceptsNone || g.Loaded != pki.AcceptsNone || g.Files != pki.AcceptsNone && slices.Contains(phase.Clusters, c.Member.Name)
		if missing := c.agents - c.running.Agents; observed && missing > 0 {
			add(c, "%d of %d agents could not be observed", missing, c.agents)
		}
		if g.Asked || g.Loaded != pki.AcceptsNone {
			for _, why := range c.running.EtcdUnknown {
				add(c, "%s", why)
			}
		}
		if g.Presented != pki.AcceptsNone {
			m.presented(c, g.Presented, add)
		}
		if g.Files != pki.AcceptsNone && slices.Contains(phase.Clusters, c.Member.Name) {
			m.files(c, g.Files, add)
		}
		if g.Loaded != pki.AcceptsNone {
			for _, why := range append(slices.Clone(c.running.EtcdBehind), c.running.ClientsBehind...) {
				add(c, "%s", why)
			}
		}
		if g.Connected {
			for _, why := range m.lost(c) {
				add(c, "%s", why)
			}
		}
		if phase.Kind == Restart && slices.Contains(phase.Clusters, c.Member.Name) && m.sameSecond(c) {
			add(c, "new pods could not be told from those that are older than the CA file: it was written in this second")
		}
	}
	if !g.Quiet || len(out) > 0 {
		return out
	}
	rest := time.Duration(0)
	for _, c := range m.clusters {
		if at := c.running.Rejected; !at.IsZero() && m.age(c, at) < quiet {
			add(c, "an etcd rejected a connection (%s). For %s nothing of the kind was seen since; it must be quiet for %s", c.running.Rejection, max(0, m.age(c, at)).Round(time.Second), quiet)
		}
		rest = max(rest, quiet-m.age(c, c.changed()))
	}
	if rest > 0 && len(out) == 0 {
		out = append(out, fmt.Sprintf("all clusters: %s more without a rejected connection", rest.Round(time.Second)))
	}
	return out
}

// sameSecond reports whether a pod that is created now may have the same time of creation as the last write of etcd's CA file. The API server cuts both to a second.
func (m *mesh) sameSecond(c *cluster) bool {
	file, ok := c.Side.EtcdTrust()
	const second = time.Second
	return ok && m.age(c, c.State.Content(file).To.Add(-second)) < second
}

// lost are the connections of a cluster that are missing although the certificates of both sides suit each other. A cluster that joined a moment ago is not
// connected to anybody, and a phase that would wait for it could never begin.
func (m *mesh) lost(c *cluster) []string {
	if m.trusted == nil {
		m.trusted = map[string]bool{}
		sides := make([]pki.Side, 0, len(m.clusters))
		for _, one := range m.clusters {
			sides = append(sides, one.Side)
		}
		for _, p := range pki.Matrix(sides, m.at) {
			m.trusted[p.Client+" "+p.Server] = p.Verdict != pki.Broken
		}
	}
	var out []string
	for _, l := range c.running.Disconnected {
		if trusted, known := m.trusted[c.Side.Name+" "+l.Peer]; trusted || !known {
			out = append(out, l.Text)
		}
	}
	return out
}

// clientsBehind says which clients of some clusters have not read their CA file again.
func (m *mesh) clientsBehind(names []string) []string {
	var out []string
	for _, c := range m.clusters {
		if !slices.Contains(names, c.Member.Name) {
			continue
		}
		for _, why := range c.running.ClientsBehind {
			out = append(out, c.Member.Name+": "+why)
		}
	}
	return out
}

// etcdBehind says which etcd replicas of some clusters are older than their CA file.
func (m *mesh) etcdBehind(names []string) []string {
	var out []string
	for _, c := range m.clusters {
		if slices.Contains(names, c.Member.Name) {
			for _, why := range c.running.EtcdBehind {
				out = append(out, c.Member.Name+": "+why)
			}
		}
	}
	return out
}

// presented: what a process presents is read at every handshake, but from a file that the kubelet writes some time after the Secret.
func (m *mesh) presented(c *cluster, kind pki.Accepts, add func(*cluster, string, ...any)) {
	if c.meshAPI != nil && len(c.running.Presented) == 0 {
		add(c, "no etcd replica and no agent could be asked what it presents")
	}
	for _, seen := range c.running.Presented {
		have := m.pair().Leaf(seen.Certs, m.at)
		if (kind.Old && !have.Old) || (kind.New && !have.New) {
			add(c, "%s presents a certificate that verifies by: %s; needed: %s", seen.Where, have, kind)
		}
	}
}

func (m *mesh) files(c *cluster, kind pki.Accepts, add func(*cluster, string, ...any)) {
	for _, seen := range c.running.Files {
		if have := m.pair().Trust(seen.Certs); have != kind {
			add(c, "%s still contains the CA: %s", seen.Where, have)
		}
	}
}

// changed is when the last leaf certificate or CA file of the cluster was written.
func (c *cluster) changed() time.Time {
	var last time.Time
	for _, spec := range pki.LeafSpecs() {
		for _, key := range []string{pki.KeyTLSCert, pki.KeyCACert} {
			last = later(last, c.Written[pki.Source{Ref: pki.Ref{Kind: pki.Secret, Name: spec.Secret}, Key: key}].At)
		}
	}
	return last
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// RolledOut reports whether all pods of a Deployment are of its present template and available, and none of another is left.
func RolledOut(d *appsv1.Deployment) bool {
	want := ptr.Deref(d.Spec.Replicas, 1)
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want
}
