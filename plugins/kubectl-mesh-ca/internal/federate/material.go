package federate

import (
	"crypto/x509"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// crossOf returns the CA that signed a certificate, if that is a cross certificate of one CA.
func (m *mesh) crossOf(cert *x509.Certificate, of *x509.Certificate) *x509.Certificate {
	for _, by := range m.authorities {
		if !pki.SameAuthority(by.Cert, of) && pki.IsCross(cert, of, by.Cert) {
			return by.Cert
		}
	}
	return nil
}

// withCrosses returns certificates that are sent with those that a CA signs, so that every other CA verifies them: what is missing is added at the end, and
// what ends too early is replaced. With off, the cross certificates are removed. Certificates of other kinds stay.
func (m *mesh) withCrosses(have []*x509.Certificate, of pki.CertKey) ([]*x509.Certificate, error) {
	out := slices.DeleteFunc(slices.Clone(have), func(c *x509.Certificate) bool {
		by := m.crossOf(c, of.Cert)
		return by != nil && (m.off || !pki.CrossLasts(c, of.Cert, by, m.at))
	})
	if m.off {
		return out, nil
	}
	for _, by := range m.authorities {
		if pki.SameAuthority(by.Cert, of.Cert) || slices.ContainsFunc(out, func(c *x509.Certificate) bool { return pki.IsCross(c, of.Cert, by.Cert) }) {
			continue
		}
		x, err := m.cross(of, by)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// cross makes a cross certificate once, so that all Secrets of a run get the same.
func (m *mesh) cross(of, by pki.CertKey) (*x509.Certificate, error) {
	id := [2]string{pki.Fingerprint(of.Cert), pki.Fingerprint(by.Cert)}
	if x := m.crosses[id]; x != nil {
		return x, nil
	}
	x, err := of.CrossSign(by, m.at)
	if err != nil {
		return nil, fmt.Errorf("CA %s cannot sign that of another cluster: %w", pki.Short(id[1]), err)
	}
	if m.crosses == nil {
		m.crosses = map[[2]string]*x509.Certificate{}
	}
	m.crosses[id] = x
	return x, nil
}

// withRoots returns a CA file that trusts the other CAs until they end, or does not trust them any more. What belongs to none of them stays. If a CA was issued
// again under its key for longer, its present certificate takes the place of the former one.
func (m *mesh) withRoots(have []*x509.Certificate, own *x509.Certificate) []*x509.Certificate {
	out := slices.Clone(have)
	for _, other := range m.authorities {
		same := func(c *x509.Certificate) bool { return pki.SameAuthority(c, other.Cert) }
		switch {
		case pki.SameAuthority(other.Cert, own):
		case m.off:
			out = slices.DeleteFunc(out, same)
		case !lasts(out, other.Cert):
			at := slices.IndexFunc(out, same)
			if at < 0 {
				at = len(out)
			}
			out = slices.Insert(slices.DeleteFunc(out, same), at, other.Cert)
		}
	}
	return out
}

// lasts reports whether a CA file contains a CA until it ends. The CA that signed it does not count: Helm does not send an intermediate CA.
func lasts(file []*x509.Certificate, authority *x509.Certificate) bool {
	return slices.ContainsFunc(file, func(c *x509.Certificate) bool {
		return pki.SameAuthority(c, authority) && !c.NotAfter.Before(authority.NotAfter)
	})
}

// chainData returns what must be written to a leaf Secret so that every CA verifies its certificate: nothing where that is so.
func (m *mesh) chainData(secret *corev1.Secret) (map[string][]byte, error) {
	leaf, err := pki.ParseLeaf(secret.Data)
	if err != nil {
		return nil, err
	}
	signer, ok := m.signerOf(leaf)
	if !ok {
		return nil, nil // checkLeafSecrets refuses it where that matters
	}
	rest, err := m.withCrosses(leaf.Chain[1:], signer)
	if err != nil || equal(rest, leaf.Chain[1:]) {
		return nil, err
	}
	return map[string][]byte{pki.KeyTLSCert: pki.EncodeCertificates(append([]*x509.Certificate{leaf.Cert()}, rest...)...)}, nil
}

// signerOf returns the CA whose key signed a leaf certificate.
func (m *mesh) signerOf(leaf pki.Leaf) (pki.CertKey, bool) {
	alone := pki.Leaf{Chain: leaf.Chain[:1]}
	for _, a := range m.authorities {
		if alone.Relation(a.Cert) == pki.Direct {
			return a, true
		}
	}
	return pki.CertKey{}, false
}

// trustData returns what must be written to a leaf Secret so that its CA file is as the recipe needs it: nothing where it is.
func (m *mesh) trustData(c *cluster, secret *corev1.Secret) map[string][]byte {
	leaf, err := pki.ParseLeaf(secret.Data)
	if err != nil || len(leaf.Trust) == 0 || (!m.off && m.recipe != Roots) {
		return nil
	}
	want := m.withRoots(leaf.Trust, c.own.Cert)
	if equal(want, leaf.Trust) {
		return nil
	}
	return map[string][]byte{pki.KeyCACert: pki.EncodeCertificates(want...)}
}

// authorityData returns what must be written to cilium-ca so that the issuer of the cluster keeps the federation: nothing where it is so. The key stays.
func (m *mesh) authorityData(c *cluster) (map[string][]byte, error) {
	have := c.authority.Chain
	var want []*x509.Certificate
	switch {
	case len(have) == 0 || !m.off && m.recipe == Files:
		return nil, nil
	case c.issuer == Certgen && (m.off || m.recipe == Cross):
		crosses, err := m.withCrosses(slices.DeleteFunc(slices.Clone(have), c.own.Cert.Equal), c.own)
		if err != nil {
			return nil, err
		}
		want = pki.CertgenFederation(c.own.Cert, crosses)
	case c.issuer == Helm && (m.off || m.recipe == Roots):
		others := slices.DeleteFunc(slices.Clone(have), func(cert *x509.Certificate) bool { return pki.SameAuthority(cert, c.own.Cert) })
		want = pki.HelmFederation(c.own.Cert, m.withRoots(others, c.own.Cert))
	default:
		return nil, nil
	}
	if equal(want, have) {
		return nil, nil
	}
	return map[string][]byte{c.authority.Layout.Cert: pki.EncodeCertificates(want...)}, nil
}

func equal(a, b []*x509.Certificate) bool {
	return slices.EqualFunc(a, b, func(x, y *x509.Certificate) bool { return x.Equal(y) })
}

// edit is what must be written to one Secret.
type edit struct {
	secret *corev1.Secret
	data   map[string][]byte
}

func find(edits []edit, name string) (edit, bool) {
	n := slices.IndexFunc(edits, func(e edit) bool { return e.secret.Name == name })
	if n < 0 {
		return edit{}, false
	}
	return edits[n], true
}

// missingIn returns what must still be written in a cluster: chains, and CA files. cilium-ca comes first, so that its owner would write the same.
func (m *mesh) missingIn(c *cluster) (chains, trust []edit, err error) {
	data, err := m.authorityData(c)
	if err != nil {
		return nil, nil, fmt.Errorf("secret %s: %w", pki.SecretCA, err)
	}
	if first := (edit{c.CA().Object, data}); len(data) > 0 && c.issuer == Certgen {
		chains = append(chains, first)
	} else if len(data) > 0 {
		trust = append(trust, first)
	}
	for _, spec := range pki.LeafSpecs() {
		secret := c.Secrets[spec.Secret].Object
		if secret == nil {
			continue
		}
		if _, err := pki.ParseLeaf(secret.Data); err != nil {
			continue // checkLeafSecrets refuses it
		}
		data, err := m.chainData(secret)
		if err != nil {
			return nil, nil, fmt.Errorf("secret %s: %w", secret.Name, err)
		}
		if len(data) > 0 {
			chains = append(chains, edit{secret, data})
		}
		if data := m.trustData(c, secret); len(data) > 0 {
			trust = append(trust, edit{secret, data})
		}
	}
	return chains, trust, nil
}
