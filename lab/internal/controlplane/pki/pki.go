// Package pki makes certificate authorities and the certificates that they sign,
// in the shapes that the programs leave which the lab imitates (sprig in Helm,
// cfssl in certgen, cert-manager, kubeadm). It knows X.509 and PEM; it knows
// nothing of files, Kubernetes objects or clusters.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Algorithm is a kind of key.
type Algorithm string

// The kinds of keys that Cilium's installers make: RSA by Helm and cert-manager,
// P-256 by certgen.
const (
	RSA2048   Algorithm = "rsa-2048"
	ECDSAP256 Algorithm = "ecdsa-p256"
)

const rsaBits = 2048

// Day is the unit in which Cilium's charts give validities.
const Day = 24 * time.Hour

// Pair is a certificate with its key, both PEM.
type Pair struct {
	Cert []byte
	Key  []byte
}

// Authority is a certificate authority with its key at hand.
type Authority struct {
	Pair
	cert *x509.Certificate
	key  crypto.Signer
}

// AuthoritySpec says how an authority is to look.
type AuthoritySpec struct {
	CommonName string
	Algorithm  Algorithm
	Validity   time.Duration
	// KeyUsage is what the certificate may sign; zero means certificates and CRLs.
	KeyUsage x509.KeyUsage
	// ExtKeyUsage is normally empty in an authority; sprig sets server and client.
	ExtKeyUsage []x509.ExtKeyUsage
	NotBefore   time.Time
}

// LeafSpec says how a certificate is to look.
type LeafSpec struct {
	CommonName   string
	Organization string
	Algorithm    Algorithm
	Validity     time.Duration
	DNSNames     []string
	IPs          []net.IP
	ExtKeyUsage  []x509.ExtKeyUsage
	NotBefore    time.Time
}

// NewAuthority makes a self-signed authority.
func NewAuthority(spec AuthoritySpec) (*Authority, error) {
	key, err := newKey(spec.Algorithm)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	usage := spec.KeyUsage
	if usage == 0 {
		usage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: spec.CommonName},
		NotBefore:             spec.NotBefore,
		NotAfter:              spec.NotBefore.Add(spec.Validity),
		KeyUsage:              usage,
		ExtKeyUsage:           spec.ExtKeyUsage,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign authority %q: %w", spec.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return &Authority{Pair: Pair{Cert: encodeCert(der), Key: keyPEM}, cert: cert, key: key}, nil
}

// LoadAuthority returns the authority of a certificate and its key, PEM: PKCS #1, SEC 1 or PKCS #8.
func LoadAuthority(cert *x509.Certificate, key []byte) (*Authority, error) {
	signer, err := decodeKey(key)
	if err != nil {
		return nil, err
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("the key is not that of certificate %q", cert.Subject.CommonName)
	}
	return &Authority{Pair: Pair{Cert: encodeCert(cert.Raw), Key: key}, cert: cert, key: signer}, nil
}

// Issue makes a key and signs a certificate for it.
func (a *Authority) Issue(spec LeafSpec) (Pair, error) {
	key, err := newKey(spec.Algorithm)
	if err != nil {
		return Pair{}, err
	}
	serial, err := newSerial()
	if err != nil {
		return Pair{}, err
	}
	subject := pkix.Name{CommonName: spec.CommonName}
	if spec.Organization != "" {
		subject.Organization = []string{spec.Organization}
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               subject,
		DNSNames:              spec.DNSNames,
		IPAddresses:           spec.IPs,
		NotBefore:             spec.NotBefore,
		NotAfter:              spec.NotBefore.Add(spec.Validity),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           spec.ExtKeyUsage,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("sign certificate %q: %w", spec.CommonName, err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{Cert: encodeCert(der), Key: keyPEM}, nil
}

// NewKey makes a bare private key, PEM.
func NewKey(algorithm Algorithm) ([]byte, error) {
	key, err := newKey(algorithm)
	if err != nil {
		return nil, err
	}
	return encodeKey(key)
}

func newKey(algorithm Algorithm) (crypto.Signer, error) {
	switch algorithm {
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("unknown key algorithm %q", algorithm)
	}
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func decodeKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the key is not PEM")
	}
	parse := map[string]func([]byte) (any, error){
		"RSA PRIVATE KEY": func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
		"EC PRIVATE KEY":  func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
		"PRIVATE KEY":     x509.ParsePKCS8PrivateKey,
	}[block.Type]
	if parse == nil {
		return nil, fmt.Errorf("the key is a PEM block of type %q", block.Type)
	}
	key, err := parse(block.Bytes)
	if err != nil {
		return nil, errors.New("the key does not parse") // the error of the parser may quote what it read
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T does not sign", key)
	}
	return signer, nil
}

// encodeKey writes PKCS #1 for RSA and SEC 1 for ECDSA: what sprig, cfssl and
// cert-manager (by default) write.
func encodeKey(key crypto.Signer) ([]byte, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}), nil
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(k)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
	default:
		return nil, fmt.Errorf("unknown key type %T", key)
	}
}
