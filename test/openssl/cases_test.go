package openssl

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

// host is the name by which the client connects.
const host = "us.mesh.cilium.io"

// handshake is one case: what one side presents, and what the other trusts.
type handshake struct {
	what   string // the faults
	server bool   // the server presents it; else the client
	chain  []cert // the leaf certificate and what is sent with it
	key    crypto.Signer
	roots  []cert
	// beyond says why OpenSSL's command does not judge it as a TLS library in Go does; empty where it does.
	beyond string
}

// maker makes cases.
type maker struct {
	*rand.Rand

	t     *testing.T
	keys  keys
	notes []string
}

func (m *maker) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...))
}

// one reports whether something happens that happens once in n times.
func (m *maker) one(n int) bool { return m.IntN(n) == 0 }

func (m *maker) key() crypto.Signer {
	if m.one(4) {
		return m.keys.rsa[m.IntN(len(m.keys.rsa))]
	}
	return m.keys.ec[m.IntN(len(m.keys.ec))]
}

// other returns a key that is none of the given ones.
func (m *maker) other(than ...crypto.Signer) crypto.Signer {
	for {
		if k := m.key(); !slices.Contains(than, k) {
			return k
		}
	}
}

// authority makes a CA; faults may be its own.
func (m *maker) authority(subject string, key crypto.Signer, faults bool) cert {
	s := spec{subject: subject, ca: true}
	if m.one(4) {
		s.noID = true
		m.note("no SKI")
	}
	if faults {
		switch m.IntN(14) {
		case 0:
			s.to = -pkitest.Day
			m.note("CA expired")
		case 1:
			s.from = pkitest.Day
			m.note("CA not yet valid")
		case 2:
			s.usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			m.note("EKU of the CA is server")
		case 3:
			s.usages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			m.note("EKU of the CA is client")
		case 4:
			s.noSign = true
			m.note("CA without certSign")
		case 5:
			s.notCA, s.noID = true, false
			m.note("CA:FALSE")
		case 6:
			s.noPath, s.noID = true, false
			m.note("path length 0")
		}
	}
	return sign(m.t, s, key, nil)
}

// leaf makes the certificate that is presented.
func (m *maker) leaf(signer cert, server bool) cert {
	s := spec{subject: "remote", dns: []string{"client.example"}, usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if server {
		s = spec{subject: "clustermesh-apiserver.kube-system.svc", dns: []string{"*.mesh.cilium.io", "clustermesh-apiserver.kube-system.svc"}, usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	}
	switch m.IntN(16) {
	case 0:
		s.to = -pkitest.Day
		m.note("expired")
	case 1:
		s.from = pkitest.Day
		m.note("not yet valid")
	case 2, 3:
		s.usages = []x509.ExtKeyUsage{map[bool]x509.ExtKeyUsage{true: x509.ExtKeyUsageClientAuth, false: x509.ExtKeyUsageServerAuth}[server]}
		m.note("EKU of the other side")
	case 4:
		s.usages = nil
		m.note("no EKU")
	case 5:
		s.usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		m.note("both EKU")
	case 6:
		s.usages = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
		m.note("EKU code signing")
	case 7:
		s.dns = []string{"clustermesh-apiserver.cilium.io"}
		m.note("SAN without the name")
	case 8:
		s.dns = []string{"*.cilium.io"}
		m.note("SAN with a wildcard one level up")
	case 9:
		s.dns = []string{"US.mesh.Cilium.io"}
		m.note("SAN in capitals")
	}
	if m.one(8) {
		s.sha1 = true
		m.note("SHA-1 where the signer is RSA")
	}
	return sign(m.t, s, m.other(signer.key), &signer)
}

// make makes one case.
func (m *maker) make() handshake {
	m.notes = nil
	h := handshake{server: m.one(2)}
	mine := m.key()
	own := m.authority("Cilium CA", mine, true)
	subject := "Cilium CA"
	if m.one(3) {
		subject = "Another CA"
	}
	second := m.authority(subject, m.other(mine), false)
	third := m.authority("Cilium CA", m.other(mine, second.key), false)
	signer := own
	var below []cert
	if m.one(5) {
		s := spec{subject: "Intermediate", ca: true}
		if m.one(4) {
			s.usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			m.note("EKU of the intermediate is server")
		}
		if m.one(4) {
			s.to = -pkitest.Day
			m.note("intermediate expired")
		}
		signer = sign(m.t, s, m.other(mine), &own)
		below = []cert{signer}
		m.note("intermediate")
	}
	leaf := m.leaf(signer, h.server)
	h.key = leaf.key
	if m.one(20) {
		h.key = m.other(leaf.key)
		m.note("wrong key")
	}
	h.chain = append([]cert{leaf}, below...)
	crossed := m.cross(&h, own, second, third)
	m.trust(&h, own, second, third)
	m.limits(&h, crossed)
	h.what = strings.Join(m.notes, ", ")
	return h
}

// cross adds cross certificates to what is presented, or leaves out what must be.
func (m *maker) cross(h *handshake, own, second, third cert) int {
	switch m.IntN(8) {
	case 0, 1:
		h.chain = append(h.chain, cross(m.t, own, second))
		m.note("X by the second")
		return 1
	case 2:
		h.chain = append(h.chain, cross(m.t, own, third), cross(m.t, own, second))
		m.note("X by the third and the second")
		return 2
	case 3:
		h.chain = append(h.chain, own, cross(m.t, own, second))
		m.note("the root and X by the second")
		return 2
	case 4:
		h.chain = h.chain[:1]
		m.note("the leaf certificate alone")
	}
	return 0
}

// trust chooses the CA file of the other side.
func (m *maker) trust(h *handshake, own, second, third cert) {
	again := func(subject string) cert { return sign(m.t, spec{subject: subject, ca: true}, own.key, nil) }
	switch m.IntN(9) {
	case 0, 1, 2:
		h.roots = []cert{own}
	case 3:
		h.roots = []cert{second}
		m.note("trusts the second")
	case 4:
		h.roots = []cert{own, second}
		m.note("trusts both")
	case 5:
		h.roots = []cert{second, own}
		m.note("trusts both, the second first")
	case 6:
		h.roots = []cert{again("Cilium CA")}
		m.note("trusts a certificate of the same key and name")
	case 7:
		h.roots = []cert{again("Renamed CA")}
		m.note("trusts the same key under another name")
	case 8:
		h.roots = []cert{third, second}
		m.note("trusts the third and the second")
	}
}

// limits says where OpenSSL's command takes another way than crypto/tls in Go.
func (m *maker) limits(h *handshake, crossed int) {
	all := append(slices.Clone(h.chain[1:]), h.roots...)
	switch {
	case crossed > 1:
		h.beyond = "follows only the first of several certificates of one key"
	case ambiguous(all):
		h.beyond = "takes the first of several CAs of one name that key identifiers do not tell apart"
	case crossed > 0 && slices.Contains(m.notes, "path length 0"), slices.Contains(m.notes, "path length 0") && len(all) > 1:
		h.beyond = "does not count self-issued certificates for the path length (RFC 5280 4.2.1.9), Go does"
	}
}

// ambiguous reports whether two certificates have one name and cannot be told apart by identifiers: one of them has none, or both have the same.
func ambiguous(certs []cert) bool {
	for i, a := range certs {
		for _, b := range certs[i+1:] {
			if string(a.x.RawSubject) != string(b.x.RawSubject) || a.x.Equal(b.x) {
				continue
			}
			if len(a.x.SubjectKeyId) == 0 || len(b.x.SubjectKeyId) == 0 || string(a.x.SubjectKeyId) == string(b.x.SubjectKeyId) {
				return true
			}
		}
	}
	return false
}
