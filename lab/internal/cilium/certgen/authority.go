// Package certgen imitates certgen, the program of the Cilium project that signs the certificates of an installation with the method
// cronJob. The module proxy does not serve it as a module that can be built, so these are its rules, written again: which CA signs,
// what it refuses, what it writes. Read in certgen at a94b0bb (v0.4.11 of chart 1.20.2), internal/generate. It shares no code with the plugins, so that
// what they say of certgen can be compared with it.
package certgen

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/pki"
)

const (
	// backdate is how far cfssl, the library of certgen, dates certificates back.
	backdate = 5 * time.Minute
	// Validity is that of a CA which certgen makes.
	Validity = 1095 * pki.Day
	// Algorithm is that of all keys which certgen makes.
	Algorithm = pki.ECDSAP256
)

// AuthoritySpec is how a CA looks that certgen makes.
func AuthoritySpec(commonName string, validity time.Duration, now time.Time) pki.AuthoritySpec {
	return pki.AuthoritySpec{CommonName: commonName, Algorithm: Algorithm, Validity: validity, NotBefore: NotBefore(now)}
}

// NotBefore is the beginning of the validity of a certificate that is made now.
func NotBefore(now time.Time) time.Time { return now.Round(time.Minute).Add(-backdate) }

// Hosts are the names in a certificate for which none are configured.
func Hosts(commonName string) []string { return []string{commonName} }

// authority is the CA of a cluster. Its file may hold a chain: the first certificate signs, the last one alone is what leaf certificates are
// verified with, and all but the last are delivered with each leaf certificate.
type authority struct {
	signer *pki.Authority
	chain  []*x509.Certificate
}

// loadAuthority reads the file of a CA and its key, which must be that of the first certificate.
func loadAuthority(file, key []byte) (*authority, error) {
	chain, err := parseChain(file)
	if err != nil {
		return nil, fmt.Errorf("ca.crt: %w", err)
	}
	signer, err := pki.LoadAuthority(chain[0], key)
	if err != nil {
		return nil, fmt.Errorf("ca.key: %w", err)
	}
	return &authority{signer: signer, chain: chain}, nil
}

// parseChain reads all certificates of a file. Text before a block is ignored, text after the last one is an error, and so is a block that is
// not a certificate.
func parseChain(file []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for rest := bytes.TrimSpace(file); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("text that is not PEM follows certificate %d", len(chain))
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d is of type %q", len(chain)+1, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", len(chain)+1, err)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, errors.New("no certificate")
	}
	return chain, nil
}

// check refuses a chain with a certificate that has expired, or that ends before leaf certificates of these validities would.
func (a *authority) check(now time.Time, validities []time.Duration) error {
	for _, cert := range a.chain {
		if now.After(cert.NotAfter) {
			return fmt.Errorf("CA certificate %q has expired at %s", cert.Subject.CommonName, cert.NotAfter.Format(time.RFC3339))
		}
		for _, validity := range validities {
			if now.Add(validity).After(cert.NotAfter) {
				return fmt.Errorf("CA certificate %q expires at %s, before a leaf certificate with the validity %s that is signed now",
					cert.Subject.CommonName, cert.NotAfter.Format(time.RFC3339), validity)
			}
		}
	}
	return nil
}

// usages are the names of usages in certgen's configuration; nil are usages of the key, which every leaf certificate has.
var usages = map[string][]x509.ExtKeyUsage{
	"signing": nil, "digital signature": nil, "key encipherment": nil,
	"server auth": {x509.ExtKeyUsageServerAuth}, "client auth": {x509.ExtKeyUsageClientAuth},
}

// issue makes a key and a certificate, and returns the data of its Secret.
func (a *authority) issue(c Certificate, now time.Time) (map[string][]byte, error) {
	spec := pki.LeafSpec{CommonName: c.CommonName, Algorithm: Algorithm, Validity: c.Validity, NotBefore: NotBefore(now)}
	for _, host := range c.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			spec.IPs = append(spec.IPs, ip)
		} else {
			spec.DNSNames = append(spec.DNSNames, host)
		}
	}
	for _, name := range c.Usage {
		usage, known := usages[name]
		if !known {
			return nil, fmt.Errorf("unknown usage %q", name)
		}
		spec.ExtKeyUsage = append(spec.ExtKeyUsage, usage...)
	}
	pair, err := a.signer.Issue(spec)
	if err != nil {
		return nil, err
	}
	last := len(a.chain) - 1
	return map[string][]byte{
		"ca.crt":  encode(a.chain[last:]),
		"tls.crt": append(pair.Cert, encode(a.chain[:last])...),
		"tls.key": pair.Key,
	}, nil
}

func encode(certs []*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, cert := range certs {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}) // a buffer takes everything
	}
	return out.Bytes()
}
