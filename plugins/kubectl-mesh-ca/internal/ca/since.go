package ca

import (
	"cmp"
	"fmt"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// Content returns when a CA file of the cluster got its present content, by the API server's clock. To is when its key was last written: managedFields has one
// time for all keys that a manager wrote, so that a renewal of the leaf certificate alone moves it too. From is when one of its certificates
// became valid, or when the file was written if that write certainly changed it.
func (s *State) Content(file pki.Bundle) pki.Window {
	w := pki.Window{From: pki.NewestCA(file.Certs)}
	later := func(t time.Time) {
		if t.After(w.From) {
			w.From = t
		}
	}
	written, ok := s.Written[file.Source]
	if ok {
		w.To = written.At.Add(time.Second) // the API server cuts times to a second
		if secret := s.Secrets[file.Source.Ref.Name].Object; file.Source.Ref.Kind == pki.Secret && secret != nil && written.At.Equal(secret.CreationTimestamp.Time) {
			w.To = written.At // it was created with this content, and pods of the same second wait for it
		}
	}
	if ok && (written.Alone || !isLeaf(file.Source.Ref)) {
		later(written.At) // no other key was written with it
	}
	if src, same := s.sameAsCA(file.Source); ok && same && !s.Written[src].At.After(written.At) {
		// The file was renewed from a new cilium-ca, and cannot have contained its CA before. If cilium-ca was written last, the file may have had the CA earlier.
		later(s.Written[src].At)
	}
	if w.From.After(w.To) && !w.To.IsZero() {
		w.To = w.From // a certificate that became valid after the write; the clocks of two machines differ
	}
	return w
}

// AgentPeers returns the configurations that the agents and the operator have for the peers, from Secret cilium-clustermesh. With KVStoreMesh they name the etcd
// of the own cluster. The note says why there are none.
func (s *State) AgentPeers() (map[string]pki.PeerConfig, string) {
	return peersOf(s.Side.Objects[pki.Ref{Kind: pki.Secret, Name: cilium.SecretClusterMesh}])
}

// CertgenChains says why certgen of the cluster is not known to sign with a file of several certificates; nil if it is, or if there is no CronJob to tell.
func (s *State) CertgenChains() error {
	for _, config := range s.Certgen {
		if err := config.Chains(); err != nil {
			return err
		}
	}
	if len(s.Certgen) < len(s.CronJobs) {
		return fmt.Errorf("%w; %s", pki.ErrNoChains, cmp.Or(s.CertgenNote, "a CronJob has no container "+containerCertgen))
	}
	return nil
}

// RestartMeshAPI returns the command after which etcd and KVStoreMesh read their CA files again.
func (s *State) RestartMeshAPI() string { return s.restart() }
