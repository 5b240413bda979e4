package modeltest_test

import (
	"slices"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
)

// TestLostIsSeen: the checks of the model see a key, a certificate and a leaf certificate that are gone.
func TestLostIsSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(p *modeltest.Process, other pkitest.CA)
		want   []string
	}{
		"nothing": {func(*modeltest.Process, pkitest.CA) {}, nil},
		"the key": {func(p *modeltest.Process, _ pkitest.CA) {
			s := p.Secret(pki.SecretCA)
			delete(s.Data, pki.KeyCAKey)
			p.Put("secrets", s)
		}, []string{"the key of the first CA is lost", "the key of the CA that issued clustermesh-apiserver-server-cert is lost"}},
		"the CA, which another one replaced": {func(p *modeltest.Process, other pkitest.CA) {
			s := p.Secret(pki.SecretCA)
			s.Data = other.CASecret()
			p.Put("secrets", s)
		}, []string{"the key of the first CA is lost"}},
		"a leaf certificate's key": {func(p *modeltest.Process, _ pkitest.CA) {
			s := p.Secret(pki.SecretRemote)
			s.Data[pki.KeyTLSKey] = p.Secret(pki.SecretServer).Data[pki.KeyTLSKey]
			p.Put("secrets", s)
		}, []string{"clustermesh-apiserver-remote-cert: <nil>, key mismatch"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := modeltest.New(t, 1, func(_ string, ca *pkitest.CA) catest.Install { return catest.Install{CA: ca} }, "us", "eu")
			p := w.Mesh[0]
			first, err := pki.ParseCA(p.Secret(pki.SecretCA).Data)
			if err != nil {
				t.Fatal(err)
			}
			c.change(p, pkitest.NewCA(t, pkitest.Spec{}))
			got := modeltest.Lost(p.Secrets(), first.Signer())
			for _, want := range c.want {
				if !slices.Contains(got, want) {
					t.Errorf("%q is not in %q", want, got)
				}
			}
			if len(c.want) == 0 && len(got) > 0 {
				t.Errorf("%q", got)
			}
		})
	}
}
