package install

import (
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/certgen"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/pki"
)

// The Secrets with leaf certificates; their names are fixed.
const (
	secretCA       = "cilium-ca"
	secretServer   = "clustermesh-apiserver-server-cert"
	secretAdmin    = "clustermesh-apiserver-admin-cert"
	secretRemote   = "clustermesh-apiserver-remote-cert"
	secretLocal    = "clustermesh-apiserver-local-cert" // from chart 1.16 on
	secretHubble   = "hubble-server-certs"
	caCommonName   = "Cilium CA"
	caValidity     = 1095 * pki.Day
	hubbleValidity = 365 * pki.Day // since chart 1.16
)

// certificates are an authority and the leaf certificates that it signed, by Secret.
type certificates struct {
	ca     pki.Pair
	leaves map[string]pki.Pair
}

// leafSpec is a leaf and what its Secret is for.
type leafSpec struct {
	secret   string
	name     string
	dns      []string
	ips      []net.IP
	usage    []x509.ExtKeyUsage
	validity time.Duration
}

// leafSpecs are the leaf certificates by the charts' templates (clustermesh-apiserver/tls-*,
// hubble/tls-*), 1.16 to 1.20. The name "remote" is that of authMode legacy, the
// default up to 1.18, and of migration, the default since.
func (s site) leafSpecs() []leafSpec {
	server, client := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	meshValidity := 1095 * pki.Day
	if s.minor >= minorGlobalNamespace {
		meshValidity = 365 * pki.Day
	}
	hubble := fmt.Sprintf("*.%s.hubble-grpc.cilium.io", strings.ReplaceAll(s.Name, ".", "-"))
	return []leafSpec{
		{
			secret: secretServer, name: "clustermesh-apiserver.cilium.io",
			dns:   []string{"clustermesh-apiserver.cilium.io", "*.mesh.cilium.io", meshAPIServer + "." + Namespace + ".svc"},
			ips:   []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
			usage: []x509.ExtKeyUsage{server}, validity: meshValidity,
		},
		{secret: secretAdmin, name: "admin-" + s.Name, usage: []x509.ExtKeyUsage{client}, validity: meshValidity},
		{secret: secretRemote, name: "remote", usage: []x509.ExtKeyUsage{client}, validity: meshValidity},
		{secret: secretLocal, name: "local-" + s.Name, usage: []x509.ExtKeyUsage{client}, validity: meshValidity},
		{secret: secretHubble, name: hubble, dns: []string{hubble}, usage: []x509.ExtKeyUsage{server, client}, validity: hubbleValidity},
	}
}

// newCertificates signs a cluster's certificates in the way of its method.
func newCertificates(s site) (*certificates, error) {
	authority := pki.AuthoritySpec{CommonName: caCommonName, Algorithm: pki.RSA2048, Validity: caValidity, NotBefore: s.now}
	adapt := func(*pki.LeafSpec) {}
	switch s.method() {
	case Certgen:
		authority = certgen.AuthoritySpec(caCommonName, certgen.Validity, s.now)
		adapt = func(leaf *pki.LeafSpec) {
			leaf.Algorithm = certgen.Algorithm
			leaf.NotBefore = certgen.NotBefore(s.now)
			if len(leaf.DNSNames) == 0 {
				leaf.DNSNames = certgen.Hosts(leaf.CommonName)
			}
		}
	case Helm:
		// The template functions genCA and genSignedCert know no usages: every
		// certificate is for servers and clients.
		both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		authority.KeyUsage = x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign
		authority.ExtKeyUsage = both
		adapt = func(leaf *pki.LeafSpec) { leaf.ExtKeyUsage = both }
	case CertManager:
		authority.KeyUsage = x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign
	}
	ca, err := pki.NewAuthority(authority)
	if err != nil {
		return nil, err
	}
	specs := s.leafSpecs()
	pairs := make([]pki.Pair, len(specs))
	var group errgroup.Group
	for i, spec := range specs {
		group.Go(func() error {
			leaf := pki.LeafSpec{
				CommonName: spec.name, DNSNames: spec.dns, IPs: spec.ips, ExtKeyUsage: spec.usage,
				Algorithm: pki.RSA2048, Validity: spec.validity, NotBefore: s.now,
			}
			adapt(&leaf)
			pair, err := ca.Issue(leaf)
			pairs[i] = pair
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	leaves := make(map[string]pki.Pair, len(specs))
	for i, spec := range specs {
		leaves[spec.secret] = pairs[i]
	}
	return &certificates{ca: ca.Pair, leaves: leaves}, nil
}
