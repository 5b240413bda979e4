package ca

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
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

// Untimed says of which leaf Secrets nobody knows when a CA file was written that etcd, KVStoreMesh or the operator has loaded, and how to change that. Whether these
// processes have loaded its present content is judged by that time alone; of the agents, the files on their nodes tell.
func (s *State) Untimed() []string {
	file, _ := s.Side.EtcdTrust()
	files := []pki.Bundle{file}
	for _, peer := range slices.Sorted(maps.Keys(s.Side.Peers)) {
		files = append(files, s.Side.DialerTrust(peer))
	}
	peers, _ := s.AgentPeers()
	for _, peer := range slices.Sorted(maps.Keys(peers)) {
		files = append(files, s.Side.AgentTrust(peers[peer].TrustedCAFile))
	}
	var out []string
	for _, file := range files {
		missing := s.dataOf(file.Source.Ref.Name)[file.Source.Key] == nil
		if why := s.UntimedFile(file); isLeaf(file.Source.Ref) && !missing && s.Content(file).To.IsZero() && !slices.Contains(out, why) {
			out = append(out, why)
		}
	}
	return out
}

// UntimedFile says that nobody knows when a CA file was written, and how to change that.
//
// The API server does not track who writes an object whose managedFields are empty, whether somebody has emptied them or the object is older than the tracking. Only a
// server-side apply begins it: all fields get the time of that moment (apimachinery v0.37, managedfields/internal/skipnonapplied.go). One without fields owns nothing.
func (s *State) UntimedFile(file pki.Bundle) string {
	ref := file.Source.Ref
	manifest := fmt.Sprintf(`{"apiVersion":"v1","kind":%q,"metadata":{"name":%q}}`, string(ref.Kind), ref.Name)
	return fmt.Sprintf("cannot determine when %s was written, because its managedFields do not record it. To make the API server record it from now on, run: %s", file.Source,
		commandline.Pipe("echo "+commandline.Quote(manifest), s.kubectl("apply", "--server-side", "-f", "-")))
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
