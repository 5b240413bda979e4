// Package live tells what the running processes of Cluster Mesh do, as opposed to what the Secrets say: which certificates each etcd replica serves, and
// whether each client process has read its CA file since the file changed. It uses only observables that were seen to tell the truth (docs/rotation.md):
// readiness, "N/N remote clusters ready" and counters of failures stay green beside a process whose trust is out of date.
package live

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// Observer answers what the running processes of one cluster do. The real one asks the cluster; tests use a model.
type Observer interface {
	// Served returns what every etcd replica of clustermesh-apiserver serves now, by one fresh TLS handshake each.
	Served(ctx context.Context, m *clusters.Member) ([]Served, error)
	// Files returns the certificate and CA files that the agents of the cluster see now.
	Files(ctx context.Context, m *clusters.Member) ([]File, error)
	// Clients returns every process of the cluster that is a client of an etcd of Cluster Mesh, with the last proof that it has built its trust pool again.
	Clients(ctx context.Context, m *clusters.Member) ([]Client, error)
	// Rejected returns the connections that the cluster's etcd replicas have rejected since a time, because one of the two certificates was not accepted.
	Rejected(ctx context.Context, m *clusters.Member, since time.Time) ([]Rejection, error)
}

// Served is one etcd replica.
type Served struct {
	Pod, UID string
	// Started is when its container started. It trusts the CA file of that time, because etcd does not read the file again.
	Started time.Time
	// Chain is what it presents: the leaf certificate, then the intermediates that are sent with it.
	Chain []*x509.Certificate
}

// File is one certificate or CA file that an agent sees.
type File struct {
	Node, Pod, Path string
	Certs           []*x509.Certificate
	// Written is when the file got its present content on that node; zero where it is not known.
	Written time.Time
}

// Client is one connection of a process to an etcd of Cluster Mesh.
type Client struct {
	Kind      string // agent, kvstoremesh or operator
	Node, Pod string
	// Peer is the cluster whose etcd, or whose data in the local etcd, it reads.
	Peer      string
	Connected bool
	// Started is when its container started.
	Started time.Time
	// Rebuilt is the time of the last proof that it has built its trust pool; zero where there is none. Evidence says what the proof is.
	Rebuilt  time.Time
	Evidence string
}

// Rejection is one connection that an etcd replica rejected, as its log has it.
type Rejection struct {
	Pod    string
	At     time.Time
	Remote string // address of the client
	Reason string
}
