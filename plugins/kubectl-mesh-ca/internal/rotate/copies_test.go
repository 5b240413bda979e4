package rotate_test

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// copier is a cluster whose agent sees its own client certificate and a copy of a peer's.
type copier struct {
	nodes
}

func (c copier) Files(context.Context, *clusters.Member) ([]live.File, error) {
	var out []live.File
	for _, name := range []string{"common-etcd-client.crt", "common-etcd-client-ca.crt", "eu.etcd-client.crt", "eu.etcd-client-ca.crt", "ap.etcd-client.crt"} {
		out = append(out, live.File{Node: "node-1", Pod: "a", Path: pki.DirClusterMesh + "/" + name, Certs: c.file})
	}
	return out, nil
}

// TestCopiesAreTold: only what Secret cilium-clustermesh contains is a copy. A file that is on the node alone is not, so that it is waited for.
func TestCopiesAreTold(t *testing.T) {
	t.Parallel()
	signer := pkitest.NewCA(t, pkitest.Spec{})
	us, _ := catest.Member(t, "us", catest.Install{CA: &signer, Edit: func(s map[string]*corev1.Secret) {
		s["cilium-clustermesh"].Data = map[string][]byte{"eu.etcd-client.crt": signer.CertPEM, "eu.etcd-client-ca.crt": signer.CertPEM}
	}})
	s, err := ca.Read(t.Context(), us)
	must(t, err)
	p := rotate.Processes{Observer: copier{nodes{file: []*x509.Certificate{signer.Cert}}}, Now: func() time.Time { return pkitest.Now }}
	got, err := p.Running(t.Context(), s, rotate.Look{})
	must(t, err)
	want := map[string]bool{"common-etcd-client.crt": false, "common-etcd-client-ca.crt": false, "eu.etcd-client.crt": true, "eu.etcd-client-ca.crt": true, "ap.etcd-client.crt": false}
	have := map[string]bool{}
	for _, seen := range append(got.Presented, got.Files...) {
		for name := range want {
			if seen.Where == "file "+pki.DirClusterMesh+"/"+name+" on node node-1" {
				have[name] = seen.Copy
			}
		}
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
}
