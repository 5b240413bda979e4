// Package live observes what the running processes of a mesh do: what each etcd serves, which CA files the agents see, and when each client of an etcd read its CA
// file last. It judges from that whether a process trusts what its files contain. It knows the Kubernetes clients and writes nothing.
//
// Files are not running trust. etcd reads its CA file only when it starts, and a client of etcd reads it again only if it connects to another etcd cluster, if the
// text of the peer's configuration changes, or if its heartbeat fails (Cilium 1.16 to 1.20). Readiness and "N/N remote clusters ready" stay
// good beside a stale process, and nothing here uses them.
package live

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// Observer answers what the running processes of one cluster do. Cluster asks the cluster; tests use a model.
//
// A process that could not be observed is in the result, with the reason in Unknown: it is never left out. An error means that the whole question has no
// answer. A missing permission is a *permissions.MissingError.
type Observer interface {
	// Served returns what every etcd replica of clustermesh-apiserver serves now, each by a fresh TLS handshake. Empty without clustermesh-apiserver.
	Served(ctx context.Context, m *clusters.Member) ([]Served, error)
	// Files returns the certificate files that the agents of the cluster see now, one for each node and file. Private keys are not read.
	Files(ctx context.Context, m *clusters.Member) ([]File, error)
	// Clients returns every process that is a client of the etcd of a peer, or of the local etcd as a cache of a peer, once for each peer, with the time of the
	// last proof that it read its CA file.
	Clients(ctx context.Context, m *clusters.Member) ([]Client, error)
	// Rejected returns the TLS handshakes that failed since a time of the cluster's clock, by the logs of the etcd replicas. Since the zero time means as far as
	// the logs go back.
	Rejected(ctx context.Context, m *clusters.Member, since time.Time) ([]Rejection, error)
}

// Served is what one etcd replica serves.
type Served struct {
	Pod, UID string
	// Created is when the pod was created, and Started when its etcd container started, both by the cluster's clocks, to the second. etcd trusts what its CA
	// file contained when it started.
	Created, Started time.Time
	// Chain is the certificate that it serves, and the intermediates after it. Its private key was proven in the handshake.
	Chain []*x509.Certificate
	// Announced are the raw subjects of the CAs that etcd accepts client certificates of. Equal subjects do not prove equal CAs.
	Announced [][]byte
	// Unknown says why Chain is empty.
	Unknown string
}

// Read returns when etcd read its CA file.
func (s Served) Read() pki.Window {
	if s.Started.IsZero() {
		return pki.Window{}
	}
	return pki.Window{From: s.Started, To: s.Started.Add(startSlack)}
}

// startSlack is how much later than the reported start of its container a process may have read its files: the report is cut to a second, and the process
// needs a moment.
const startSlack = 5 * time.Second

// File is a certificate file as an agent sees it.
type File struct {
	Node, Pod string
	Path      string // in the agent's container; empty if Unknown says why no file of the pod was read
	Certs     []*x509.Certificate
	// Written is when the file, together with all others of its volume, was last written on the node, by the node's clock; zero if unknown. A kubelet writes all
	// files of a volume again if one changes.
	Written time.Time
	Unknown string // why Certs is empty
}

// Client is a process that is a client of an etcd, and one peer.
type Client struct {
	Kind      string // KindAgent, KindKVStoreMesh or KindOperator
	Node, Pod string
	Addresses []string // of the pod and its node
	Peer      string   // empty if Unknown says why its peers are not known
	Connected bool
	// Rebuilt is the last proof: the process read its CA file at this time or later. Zero: nothing is known. It passed a TLS handshake with what it read if
	// Connected is true.
	Rebuilt time.Time
	// Latest is the time after which it has not read its CA file again; zero: unknown.
	Latest time.Time
	// Evidence is what proves Rebuilt, such as "controller remote-etcd-eu succeeded at ...".
	Evidence string
	// Created is when the pod was created, Started when its container started.
	Created, Started time.Time
	// EtcdID is the id of the etcd cluster behind the connection, "" if unknown; pki.EtcdClusterID tells to which pod it belongs.
	EtcdID string
	// LogCut: the log does not show any more when the process began to connect. An operator without a Peer is the rest of its peers.
	LogCut  bool
	Unknown string // why nothing is known about the connection
}

// Read returns when the process read its CA file for the last time.
func (c Client) Read() pki.Window { return pki.Window{From: c.Rebuilt, To: c.Latest} }

// The kinds of clients.
const (
	KindAgent       = "agent"
	KindKVStoreMesh = "kvstoremesh"
	KindOperator    = "operator"
)

// Rejection is a TLS handshake with an etcd replica that failed.
type Rejection struct {
	Pod string // of the etcd
	pki.Rejection
}
