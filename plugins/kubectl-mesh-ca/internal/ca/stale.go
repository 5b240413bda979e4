package ca

import (
	"bytes"
	"fmt"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// etcdStale says why an etcd does not trust the present content of its CA file, "" if there is no sign of this.
//
// etcd reads the file only at start. Nothing records when the file got its present content: managedFields has one time for all keys that a manager
// owns, and every renewal writes tls.crt. A Helm upgrade or a run of certgen therefore changes the time of ca.crt too, although it writes the same bytes.
// Only the time at which the CA itself was replaced is reliable.
func (s *State) etcdStale() string {
	file, ok := s.Side.EtcdTrust()
	if !ok || s.EtcdStarted.IsZero() {
		return ""
	}
	since := func(what string, at time.Time) string {
		return fmt.Sprintf("an etcd process has run since %s; %s %s", s.EtcdStarted.UTC().Format(time.RFC3339), what, at.UTC().Format(time.RFC3339))
	}
	for _, cert := range file.Certs {
		if cert.NotBefore.After(s.EtcdStarted) {
			return since(fmt.Sprintf("%s contains a certificate that was issued at", file.Source), cert.NotBefore)
		}
	}
	written, ok := s.Written[file.Source]
	switch {
	case !ok || !s.EtcdStarted.Before(written.At):
		return ""
	case written.Alone || !isLeaf(file.Source.Ref):
		// No other key was written with it, so the time belongs to this key.
		return since(file.Source.String()+" was written at", written.At)
	}
	src, ok := s.sameAsCA(file.Source)
	if replaced := s.Written[src]; ok && s.EtcdStarted.Before(replaced.At) {
		return since(fmt.Sprintf("the CA in %s was written to %s at", file.Source, src), replaced.At)
	}
	return ""
}

// sameAsCA returns the key of cilium-ca with the same certificates as a CA file.
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
