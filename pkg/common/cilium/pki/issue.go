package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RFC 5280 4.2.1.2 derives key identifiers with it; nothing is protected by it
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// KeyType is the kind of a new private key.
type KeyType string

// The key types of a new CA.
const (
	ECDSA KeyType = "ecdsa" // P-256, as certgen makes it
	RSA   KeyType = "rsa"   // 3072 bits
)

const (
	bitsRSA    = 3072
	bitsSerial = 128
	// Backdate is how long before the present a new certificate becomes valid. It allows for clocks that differ between machines.
	Backdate = time.Hour
)

// CertKey is a certificate with its private key. It must never be printed or logged.
type CertKey struct {
	Cert *x509.Certificate

	key     crypto.Signer
	certPEM []byte // the whole file: the certificate first
	keyPEM  []byte
}

// CertPEM returns the certificate file.
func (c CertKey) CertPEM() []byte { return bytes.Clone(c.certPEM) }

// KeyPEM returns the private key file. It exists to be written into a Secret, and for nothing else.
func (c CertKey) KeyPEM() []byte { return bytes.Clone(c.keyPEM) }

// String keeps the key out of logs.
func (c CertKey) String() string {
	if c.Cert == nil {
		return "no certificate"
	}
	return fmt.Sprintf("%s (SHA-256 %s)", clean(c.Cert.Subject.String()), Short(Fingerprint(c.Cert)))
}

// GoString keeps the key out of logs.
func (c CertKey) GoString() string { return c.String() }

// CAOptions describe a new CA. The zero value of a field is its default.
type CAOptions struct {
	CommonName string        // "Cilium CA", as Cilium's chart and certgen name it
	KeyType    KeyType       // ECDSA
	Validity   time.Duration // from now; 3 years, as Cilium's chart has it
	Now        time.Time     // required
}

// DefaultCAValidity is that of Cilium's chart and of certgen: 1095 days.
const DefaultCAValidity = 1095 * 24 * time.Hour

// NewCA makes a self-signed CA that both Helm's genSignedCert and certgen can sign with: a version 3 certificate with basic constraints and without a path
// length, because a rotation needs a certificate between it and the leaf certificates.
func NewCA(o CAOptions) (CertKey, error) {
	if o.CommonName == "" {
		o.CommonName = "Cilium CA"
	}
	if o.Validity == 0 {
		o.Validity = DefaultCAValidity
	}
	var (
		key crypto.Signer
		err error
	)
	switch o.KeyType {
	case ECDSA, "":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RSA:
		key, err = rsa.GenerateKey(rand.Reader, bitsRSA)
	default:
		return CertKey{}, fmt.Errorf("key type %q is invalid; it must be one of: %s, %s", o.KeyType, ECDSA, RSA)
	}
	if err != nil {
		return CertKey{}, err
	}
	id, err := keyID(key.Public())
	if err != nil {
		return CertKey{}, err
	}
	serial, err := newSerial()
	if err != nil {
		return CertKey{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: o.CommonName}, NotBefore: o.Now.Add(-Backdate).UTC(), NotAfter: o.Now.Add(o.Validity).UTC(),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		SubjectKeyId: id, AuthorityKeyId: id,
	}
	return sign(template, template, key, key)
}

// ParseSigner reads a CA with its key, in either layout of Secret cilium-ca. It fails where the key does not belong to the first certificate.
func ParseSigner(data map[string][]byte) (CertKey, error) {
	ca, err := ParseCA(data)
	if err != nil {
		return CertKey{}, err
	}
	if ca.Key != KeyMatches {
		return CertKey{}, errors.New(ca.KeyNote)
	}
	key, err := parsePrivateKey(data[ca.Layout.Key])
	if err != nil {
		return CertKey{}, err
	}
	return CertKey{Cert: ca.Signer(), key: key, certPEM: EncodeCertificates(ca.Signer()), keyPEM: data[ca.Layout.Key]}, nil
}

// ParseUnsigned reads a CA whose key is missing or does not belong to it. It cannot sign.
func ParseUnsigned(data map[string][]byte) (CertKey, error) {
	ca, err := ParseCA(data)
	if err != nil {
		return CertKey{}, err
	}
	return CertKey{Cert: ca.Signer(), certPEM: EncodeCertificates(ca.Signer())}, nil
}

// HasKey reports whether the CA can sign.
func (c CertKey) HasKey() bool { return c.key != nil }

// CrossSign makes X: the name and the key of c in a certificate that by has signed, so that whoever trusts by accepts what c signs, if X is sent with it. It
// ends when the first of the two ends.
//
// The subject is copied byte by byte: another string type of the same text makes Go reject the leaf certificates. The authority key identifier is set here,
// because Go omits it when issuer and subject are equal, and OpenSSL then takes X for self-signed.
func (c CertKey) CrossSign(by CertKey, now time.Time) (*x509.Certificate, error) {
	if !by.HasKey() {
		return nil, errors.New("its key is missing")
	}
	if err := CanCrossSign(by.Cert, now); err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	id, err := keyID(c.Cert.PublicKey)
	if err != nil {
		return nil, err
	}
	if len(c.Cert.SubjectKeyId) > 0 {
		id = c.Cert.SubjectKeyId // that is what its leaf certificates name
	}
	ends := c.Cert.NotAfter
	if by.Cert.NotAfter.Before(ends) {
		ends = by.Cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial, RawSubject: c.Cert.RawSubject, NotBefore: now.Add(-Backdate).UTC(), NotAfter: ends,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		SubjectKeyId: id, AuthorityKeyId: by.Cert.SubjectKeyId,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Cert, c.Cert.PublicKey, by.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// CanCrossSign says why a CA must not sign another CA, or nil: it expired, it allows no certificate below it but leaf certificates, or it limits names.
func CanCrossSign(ca *x509.Certificate, now time.Time) error {
	switch {
	case !IsCA(ca):
		return errors.New("it is not a CA")
	case ca.MaxPathLen == 0 && ca.MaxPathLenZero:
		return errors.New("its path length is 0, so that no CA may be below it")
	case Constrained(ca):
		return errors.New("it has name constraints")
	}
	return withinValidity(ca, now)
}

// Constrained reports whether a CA has name constraints on what a leaf certificate of Cilium has: DNS names and IP addresses.
func Constrained(ca *x509.Certificate) bool {
	return len(ca.PermittedDNSDomains)+len(ca.ExcludedDNSDomains)+len(ca.PermittedIPRanges)+len(ca.ExcludedIPRanges) > 0
}

// Reissue signs a leaf certificate again: with a new serial number and a new key, and with the same names, usages, type of key and length of validity as
// before. It ends no later than the CA.
func (c CertKey) Reissue(previous *x509.Certificate, now time.Time) (CertKey, error) {
	key, err := sameKeyType(previous)
	if err != nil {
		return CertKey{}, err
	}
	return c.ReissueWith(previous, now, key)
}

// ReissueWith is Reissue with a key that exists. A rehearsal needs no key of its own for each certificate, and making RSA keys takes long.
func (c CertKey) ReissueWith(previous *x509.Certificate, now time.Time, key crypto.Signer) (CertKey, error) {
	serial, err := newSerial()
	if err != nil {
		return CertKey{}, err
	}
	begins := now.Add(-Backdate).UTC()
	ends := begins.Add(previous.NotAfter.Sub(previous.NotBefore))
	if c.Cert.NotAfter.Before(ends) {
		ends = c.Cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial, RawSubject: previous.RawSubject, NotBefore: begins, NotAfter: ends,
		KeyUsage: previous.KeyUsage, ExtKeyUsage: previous.ExtKeyUsage, UnknownExtKeyUsage: previous.UnknownExtKeyUsage,
		BasicConstraintsValid: previous.BasicConstraintsValid, DNSNames: previous.DNSNames, IPAddresses: previous.IPAddresses,
		URIs: previous.URIs, EmailAddresses: previous.EmailAddresses, AuthorityKeyId: c.Cert.SubjectKeyId,
	}
	return sign(template, c.Cert, key, c.key)
}

// sameKeyType makes a key of the type and size that a certificate has.
func sameKeyType(cert *x509.Certificate) (crypto.Signer, error) {
	switch pub := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return rsa.GenerateKey(rand.Reader, max(pub.Size()*8, 2048)) //nolint:mnd // bits in a byte; the least that TLS libraries accept
	case *ecdsa.PublicKey:
		return ecdsa.GenerateKey(pub.Curve, rand.Reader)
	case ed25519.PublicKey:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	default:
		return nil, fmt.Errorf("keys of type %T are not supported", pub)
	}
}

// sign makes a certificate for key, with the key of its parent, and encodes both as Helm and certgen do.
func sign(template, parent *x509.Certificate, key, by crypto.Signer) (CertKey, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		return CertKey{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return CertKey{}, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return CertKey{}, err
	}
	return CertKey{Cert: cert, key: key, certPEM: EncodeCertificates(cert), keyPEM: keyPEM}, nil
}

// encodeKey writes a key in the form that the signers of all owners read: Helm's genSignedCert needs PKCS#1 for RSA and SEC1 for ECDSA.
func encodeKey(key crypto.Signer) ([]byte, error) {
	var (
		block pem.Block
		err   error
	)
	switch key := key.(type) {
	case *rsa.PrivateKey:
		block = pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	case *ecdsa.PrivateKey:
		block.Type = "EC PRIVATE KEY"
		block.Bytes, err = x509.MarshalECPrivateKey(key)
	default:
		block.Type = "PRIVATE KEY"
		block.Bytes, err = x509.MarshalPKCS8PrivateKey(key)
	}
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&block), nil
}

// EncodeCertificates writes a certificate file: the blocks alone, each ended by a newline, in order.
func EncodeCertificates(certs ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&out, &pem.Block{Type: blockCertificate, Bytes: c.Raw}) // a Buffer returns no error
	}
	return out.Bytes()
}

// keyID is the key identifier of a public key: the SHA-1 of the bit string (RFC 5280 4.2.1.2, method 1).
func keyID(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	sum := sha1.Sum(info.Key.Bytes) //nolint:gosec // see the import
	return sum[:], nil
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bitsSerial-1))
}
