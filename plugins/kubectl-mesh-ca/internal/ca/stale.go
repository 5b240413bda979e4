package ca

import (
	"bytes"
	"fmt"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// etcdStale says why an etcd trusts something else than its CA file holds now, "" where nothing tells so.
//
// etcd reads the file at start only. When the file got its present content is not recorded: managedFields has one time for all keys that a manager
// owns, and every renewal writes tls.crt, so that a Helm upgrade or a run of certgen moves the time of ca.crt too although it writes the same bytes.
// What tells is the moment at which the CA itself was replaced.
func (s *State) etcdStale() string {
	file, ok := s.Side.EtcdTrust()
	if !ok || s.EtcdStarted.IsZero() {
		return ""
	}
	since := func(what string, at time.Time) string {
		return fmt.Sprintf("an etcd runs since %s, %s %s", s.EtcdStarted.UTC().Format(time.RFC3339), what, at.UTC().Format(time.RFC3339))
	}
	for _, cert := range file.Certs {
		if cert.NotBefore.After(s.EtcdStarted) {
			return since(fmt.Sprintf("%s has a certificate that was made at", file.Source), cert.NotBefore)
		}
	}
	written, ok := s.Written[file.Source]
	switch {
	case !ok || !s.EtcdStarted.Before(written.At):
		return ""
	case written.Alone || !isLeaf(file.Source.Ref):
		// Nothing else was written with it: this is its own time.
		return since(file.Source.String()+" was written at", written.At)
	}
	src, ok := s.sameAsCA(file.Source)
	if replaced := s.Written[src]; ok && s.EtcdStarted.Before(replaced.At) {
		return since(fmt.Sprintf("the CA that %s has was written to %s at", file.Source, src), replaced.At)
	}
	return ""
}

// sameAsCA returns the key of cilium-ca whose certificates a CA file has.
func (s *State) sameAsCA(file pki.Source) (pki.Source, bool) {
	have := s.Side.Objects[file.Ref].Data[file.Key]
	ref := pki.Ref{Kind: pki.Secret, Name: pki.SecretCA}
	for _, key := range []string{pki.KeyCACert, pki.KeyTLSCert} {
		want := s.Side.Objects[ref].Data[key]
		if len(want) == 0 {
			continue
		}
		certs, err := pki.ParseCertificates(want)
		if bytes.Equal(want, have) || (err == nil && sameCertificates(certs, have)) {
			return pki.Source{Ref: ref, Key: key}, true
		}
	}
	return pki.Source{}, false
}

func isLeaf(ref pki.Ref) bool {
	for _, spec := range pki.LeafSpecs() {
		if ref == (pki.Ref{Kind: pki.Secret, Name: spec.Secret}) {
			return true
		}
	}
	return false
}
