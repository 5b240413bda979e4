package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// ParseAuthority reads a CA with its key, as ParseSigner does, but under the certificate by which the CA is known: the self-signed one. In a federation
// the first certificate of the file may be a cross certificate, which another CA signed. It fails where the file has no self-signed certificate of the key.
func ParseAuthority(data map[string][]byte) (CertKey, error) {
	ca, err := ParseCA(data)
	if err != nil {
		return CertKey{}, err
	}
	out, err := ParseSigner(data)
	if err != nil {
		return CertKey{}, err
	}
	if out.Cert = ca.Identity(); !SelfSigned(out.Cert) {
		return CertKey{}, errors.New("another CA signed its certificate, and the file does not contain a self-signed one")
	}
	out.certPEM = EncodeCertificates(out.Cert)
	return out, nil
}

// IsCross reports whether a certificate is a cross certificate: the name and the key of one CA, signed by another one.
func IsCross(cert, of, by *x509.Certificate) bool {
	return SameAuthority(cert, of) && !SelfSigned(cert) && issuedBy(cert, by)
}

// crossMargin is by how much a cross certificate may end before a new one would.
const crossMargin = 24 * time.Hour

// CrossLasts reports whether a cross certificate is valid, and ends no earlier than one that is made now would: a CA may have been issued again, under its
// key, for longer.
func CrossLasts(cross, of, by *x509.Certificate, now time.Time) bool {
	ends := of.NotAfter
	if by.NotAfter.Before(ends) {
		ends = by.NotAfter
	}
	return withinValidity(cross, now) == nil && !cross.NotAfter.Add(crossMargin).Before(ends)
}

// mostCrosses is how many cross certificates of one name, signed by CAs of that name, may be sent with a leaf certificate so that every Go program finds the one
// that leads to the CA that it trusts. Go tries them in their order, and gives up after 100 candidates (crypto/x509 maxChainSignatureChecks). Go 1.26 counts a
// candidate before it sees that its key is in the chain already (golang/go issue 78282), so that each cross certificate for another CA costs the number of all
// of them plus 2: with 9 the last one needs 91 candidates, with 10 it needs 111. Measured with Go 1.26.8. A Go that counts only the signatures that it checks
// gives up from 51 on; which Go a process of Cilium was built with depends on its version.
const mostCrosses = 9

// TooManyCrosses says why some Go programs cannot verify a chain, although each of its cross certificates leads to a CA that they trust; nil if all can. The Go of
// this program may count in another way than the Go of the processes of Cilium, so that its verifier alone does not tell.
func TooManyCrosses(chain []*x509.Certificate) error {
	n := 0
	for _, c := range chain[1:] {
		if bytes.Equal(c.RawSubject, c.RawIssuer) && !SelfSigned(c) {
			n++
		}
	}
	if n <= mostCrosses {
		return nil
	}
	return fmt.Errorf("%d cross certificates of one name are sent with it: some Go programs give up if there are more than %d", n, mostCrosses)
}

// CertgenFederation returns the certificates of Secret cilium-ca with which certgen issues leaf certificates that other CAs verify too. certgen signs with
// the key of the first one, appends all but the last to tls.crt, and writes the last as ca.crt, so that the order of the cross certificates is free.
// Source: certgen internal/generate/generate.go, v0.3.1 and later (charts from 1.16.18); run with charts 1.16 to 1.20.
func CertgenFederation(own *x509.Certificate, crosses []*x509.Certificate) []*x509.Certificate {
	return append(append([]*x509.Certificate{}, crosses...), own)
}

// HelmFederation returns the certificates of Secret cilium-ca with which Helm issues leaf certificates of the own CA, and CA files that verify those of the
// others too. Helm signs with the first one, which must fit the key, and writes the whole file as ca.crt of each leaf certificate; it sends no others with it.
// Source: templates/clustermesh-apiserver/tls-helm (1.16.19, 1.18.11, 1.20.2, run).
func HelmFederation(own *x509.Certificate, others []*x509.Certificate) []*x509.Certificate {
	return append([]*x509.Certificate{own}, others...)
}
