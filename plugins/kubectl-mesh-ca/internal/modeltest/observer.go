package modeltest

import (
	"bytes"
	"context"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/reissue"
)

// Processes is what reissue and sync see of the processes.
type Processes struct{ *World }

// Running tells what the processes of one cluster do.
func (o Processes) Running(_ context.Context, s *ca.State) reissue.Running {
	var out reissue.Running
	for _, p := range o.Mesh {
		if p.Name != s.Member.Name {
			continue
		}
		if p.crashed(false) {
			return reissue.Running{Unobserved: errCrashed.Error()}
		}
		if !bytes.Equal(p.Etcd, s.Secrets[serverCert].Object.Data[pki.KeyCACert]) {
			out.EtcdBehind = append(out.EtcdBehind, "etcd has not read its CA file")
		}
		own := o.Handshake(p, p)
		read := bytes.Equal(p.Clients[p.Name], s.Secrets[clientCert(p.Name, p.Name)].Object.Data[pki.KeyCACert])
		for _, other := range o.Mesh {
			if other == p {
				continue
			}
			why := o.Handshake(p, other)
			pool := bytes.Equal(p.Clients[other.Name], s.Secrets[remoteCert].Object.Data[pki.KeyCACert])
			out.Connections = append(out.Connections,
				reissue.Connection{Kind: live.KindKVStoreMesh, Pod: "clustermesh-apiserver-0", Peer: other.Name, Connected: why == "", Read: pool, Why: why},
				reissue.Connection{Kind: live.KindAgent, Pod: "cilium-0", Peer: other.Name, Connected: own == "", Read: read, Why: own})
		}
	}
	return out
}
