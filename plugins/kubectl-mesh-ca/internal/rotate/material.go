package rotate

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// authority returns what must be written to cilium-ca of a cluster so that its owner's signer, if it runs now, issues the leaf certificates and CA files
// that the cluster has: nothing where it is so already.
//
//   - certgen signs with the first block, appends all but the last to tls.crt, and writes the last as ca.crt: [X OLD], then [X NEW], with NEW's key;
//   - Helm signs with the first block and writes the whole file as ca.crt: [OLD NEW] with OLD's key, then [NEW OLD] with NEW's;
//   - Helm beside certgen emits no X. Its cilium-ca stays OLD until everybody trusts NEW; an upgrade meanwhile is harmful, and is detected.
//
// Source: charts and certgen, measured (docs/rotation.md).
func (m *mesh) authority(c *cluster, leaf, trust pki.Accepts) map[string][]byte {
	if m.authorityFits(c, leaf, trust) {
		return nil
	}
	blocks, signer := m.blocks(c, leaf, trust)
	for n, block := range blocks {
		if block == nil {
			blocks[n] = m.x
		}
	}
	layout := pki.LayoutCA
	if now, err := pki.ParseCA(c.CA().Object.Data); err == nil {
		layout = now.Layout
	}
	return map[string][]byte{layout.Cert: pki.EncodeCertificates(blocks...), layout.Key: signer.KeyPEM()}
}

// authorityFits reports whether cilium-ca is as authority would write it.
func (m *mesh) authorityFits(c *cluster, leaf, trust pki.Accepts) bool {
	have := c.CA().Object
	if have == nil || m.new.Cert == nil {
		return true
	}
	blocks, _ := m.blocks(c, leaf, trust)
	now, err := pki.ParseCA(have.Data)
	return err == nil && now.Key == pki.KeyMatches && m.same(now.Chain, blocks)
}

// blocks are the certificates of cilium-ca, of which nil stands for X, and the key beside them.
func (m *mesh) blocks(c *cluster, leaf, trust pki.Accepts) ([]*x509.Certificate, pki.CertKey) {
	oldCA, newCA := m.old.Cert, m.new.Cert
	switch {
	case m.method == Emergency:
		return []*x509.Certificate{newCA}, m.new
	case m.method == Bundle && trust == pki.AcceptsBoth && leaf == pki.AcceptsOld:
		return []*x509.Certificate{oldCA, newCA}, m.old
	case m.method == Bundle && trust == pki.AcceptsBoth:
		return []*x509.Certificate{newCA, oldCA}, m.new
	case m.method == Cross && leaf == pki.AcceptsBoth && c.emitsCross() && trust == pki.AcceptsNew:
		return []*x509.Certificate{nil, newCA}, m.new
	case m.method == Cross && leaf == pki.AcceptsBoth && c.emitsCross():
		return []*x509.Certificate{nil, oldCA}, m.new
	case leaf == pki.AcceptsNew:
		return []*x509.Certificate{newCA}, m.new
	}
	return []*x509.Certificate{oldCA}, m.old
}

// same compares the blocks of cilium-ca. Any certificate for NEW's key that OLD signed is X.
func (m *mesh) same(have, want []*x509.Certificate) bool {
	if len(have) != len(want) {
		return false
	}
	return !slices.ContainsFunc(have, func(c *x509.Certificate) bool {
		n := slices.Index(have, c)
		if want[n] == nil {
			return pki.SPKIHash(c) != pki.SPKIHash(m.new.Cert) || c.CheckSignatureFrom(m.old.Cert) != nil || c.Equal(m.new.Cert)
		}
		return !c.Equal(want[n])
	})
}

// certgen reports whether certgen issues a leaf certificate of a cluster: a CronJob exists, or its field manager is on a leaf Secret. Charts without a schedule
// have no CronJob, only the Job of an upgrade.
func (c *cluster) certgen() bool {
	_, issues := c.issuedBy(pki.OwnerCertgen)
	return issues || len(c.CronJobs) > 0
}

// emitsCross reports whether the owner of a cluster's leaf certificates emits X. Helm does not, certgen does. An owner that is not known is treated as certgen.
func (c *cluster) emitsCross() bool { return c.owner().Kind != pki.OwnerHelm || c.certgen() }

// crossSign makes X once for all clusters.
func (m *mesh) crossSign() error {
	if m.x != nil || m.method != Cross {
		return nil
	}
	x, err := m.new.CrossSign(m.old, m.at)
	if err != nil {
		return fmt.Errorf("the previous CA cannot sign the new one: %w", err)
	}
	m.x = x
	return nil
}

// leafData returns what must be written to a leaf Secret so that its certificate is of a kind: nothing where it is. A certificate that the right CA has
// signed already stays, and only X is added or removed.
func (m *mesh) leafData(secret *corev1.Secret, kind pki.Accepts) (map[string][]byte, error) {
	leaf, err := pki.ParseLeaf(secret.Data)
	if err != nil {
		return nil, err
	}
	signer := m.new
	if kind == pki.AcceptsOld {
		signer = m.old
	}
	var with []*x509.Certificate
	if kind == pki.AcceptsBoth {
		with = []*x509.Certificate{m.x}
	}
	if m.pair().Leaf(leaf.Chain, m.at) == kind && leaf.Key == pki.KeyMatches {
		return nil, nil
	}
	if leaf.Key == pki.KeyMatches && (pki.Leaf{Chain: leaf.Chain[:1]}).SignedBy(signer.Cert) && m.at.Before(leaf.Cert().NotAfter) {
		return map[string][]byte{pki.KeyTLSCert: pki.EncodeCertificates(append([]*x509.Certificate{leaf.Cert()}, with...)...)}, nil
	}
	made, err := m.reissue(signer, leaf.Cert())
	if err != nil {
		return nil, err
	}
	return map[string][]byte{pki.KeyTLSCert: pki.EncodeCertificates(append([]*x509.Certificate{made.Cert}, with...)...), pki.KeyTLSKey: made.KeyPEM()}, nil
}

func (m *mesh) reissue(signer pki.CertKey, previous *x509.Certificate) (pki.CertKey, error) {
	if m.rehearsal != nil {
		return signer.ReissueWith(previous, m.at, m.rehearsal)
	}
	return signer.Reissue(previous, m.at)
}

// trustData returns what must be written to a leaf Secret so that its CA file is of a kind. Certificates of the file that belong to neither CA stay at its end.
func (m *mesh) trustData(secret *corev1.Secret, kind pki.Accepts) (map[string][]byte, error) {
	leaf, err := pki.ParseLeaf(secret.Data)
	if err != nil {
		return nil, err
	}
	var want []*x509.Certificate
	// The signer of the moment comes first, as Helm would write it.
	if kind.Old {
		want = append(want, m.old.Cert)
	}
	if kind.New {
		want = append(want, m.new.Cert)
	}
	for _, other := range leaf.Trust {
		if !m.pair().Only([]*x509.Certificate{other}) {
			want = append(want, other)
		}
	}
	data := pki.EncodeCertificates(want...)
	if m.pair().Trust(leaf.Trust) == kind || bytes.Equal(secret.Data[pki.KeyCACert], data) {
		return nil, nil
	}
	return map[string][]byte{pki.KeyCACert: data}, nil
}
