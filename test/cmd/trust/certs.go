package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// The CAs of a run. X is the second one signed by the first: whoever trusts the first also trusts its leaf certificates
// if X is sent along.
const (
	oldCA   = "old"
	newCA   = "new"
	wrongCA = "wrong"
)

type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

// authorities are the CAs of one run; crossed is X as PEM.
type authorities struct {
	byName  map[string]*authority
	crossed []byte
}

func newAuthorities(now time.Time) (*authorities, error) {
	all := &authorities{byName: map[string]*authority{}}
	for _, name := range []string{oldCA, newCA, wrongCA} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		template := caTemplate(name, now)
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			return nil, err
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		all.byName[name] = &authority{cert, key, encode(der)}
	}
	from, to := all.byName[oldCA], all.byName[newCA]
	template := caTemplate(newCA, now)
	template.SubjectKeyId = to.cert.SubjectKeyId
	der, err := x509.CreateCertificate(rand.Reader, template, from.cert, to.key.Public(), from.key)
	all.crossed = encode(der)
	return all, err
}

func caTemplate(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Cilium CA " + name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(3, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		panic(err) // the machine has no random numbers
	}
	return n
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// leaf is a certificate to be signed.
type leaf struct {
	ca      string
	name    string
	server  bool
	expired bool
	crossed bool // X follows the certificate
}

// sign returns a certificate and its key as PEM.
func (all *authorities) sign(l leaf, now time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: l.name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if l.server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		template.DNSNames = []string{l.name, "*.mesh.cilium.io", "clustermesh-apiserver.kube-system.svc"}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	if l.expired {
		template.NotBefore, template.NotAfter = now.Add(-48*time.Hour), now.Add(-24*time.Hour)
	}
	ca := all.byName[l.ca]
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, private.Public(), ca.key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	cert = encode(der)
	if l.crossed {
		cert = append(cert, all.crossed...)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), nil
}

// bundle is CA certificates one after the other. With half the last one is cut short, as by a copy that was interrupted.
func (all *authorities) bundle(names []string, half bool) []byte {
	var b bytes.Buffer
	for i, name := range names {
		data := all.byName[name].pem
		if half && i == len(names)-1 {
			data = data[:len(data)/2]
		}
		b.Write(data)
	}
	return b.Bytes()
}
