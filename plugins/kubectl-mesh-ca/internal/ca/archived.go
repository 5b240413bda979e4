package ca

import (
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/archive"
)

// Entry returns the cluster's CA as a backup file has it, with its key. The notes say what such a copy cannot do.
func (s *State) Entry() (e archive.Entry, notes []string, err error) {
	secret := s.CA()
	switch {
	case secret.Unreadable != "":
		return e, nil, fmt.Errorf("secret %s/%s: %s", s.Namespace, pki.SecretCA, secret.Unreadable)
	case secret.Object == nil:
		return e, nil, fmt.Errorf("secret %s/%s does not exist", s.Namespace, pki.SecretCA)
	}
	e, err = s.entry(secret.Object)
	if err != nil {
		return e, nil, err
	}
	ca, err := pki.ParseCA(secret.Object.Data)
	switch {
	case err != nil:
		notes = append(notes, "its CA does not parse ("+err.Error()+"); it is copied as it is")
	case ca.Key != pki.KeyMatches:
		notes = append(notes, "the CA in the file cannot sign: "+ca.KeyNote)
	case !pki.IsCA(ca.Signer()):
		notes = append(notes, "what is in the file is not a CA: the certificate may not sign")
	}
	return e, notes, nil
}

// entry describes a Secret with a CA.
func (s *State) entry(secret *corev1.Secret) (archive.Entry, error) {
	if len(secret.Data) == 0 {
		return archive.Entry{}, fmt.Errorf("secret %s/%s has no data", secret.Namespace, secret.Name)
	}
	m := marksOf(secret)
	e := archive.Entry{
		Cluster: s.Member.Name, Context: s.Member.Context, Server: s.Member.Server, Namespace: s.Namespace, Secret: secret.Name,
		Type: string(secret.Type), Owner: pki.FindOwner(secret.ObjectMeta).String(), Labels: m.Labels, Annotations: m.Annotations, Data: maps.Clone(secret.Data),
	}
	if ca, err := pki.ParseCA(secret.Data); err == nil {
		f := facts(ca)
		end := ca.Signer().NotAfter.UTC()
		e.Fingerprint, e.Subject, e.NotAfter = f.Fingerprint, f.Subject, &end
	}
	return e, nil
}

// Replaced returns the former CAs of the items that are still to be written, as a backup file has them. Items without a former CA have none.
func (p *Plan) Replaced() ([]archive.Entry, error) {
	var out []archive.Entry
	for _, i := range p.Pending() {
		have := i.State.CA().Object
		if have == nil {
			continue
		}
		e, err := i.State.entry(have)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Unpack returns an entry of a backup file in the form of a backup Secret, so that Restore plans both in the same way.
func Unpack(e archive.Entry) (*corev1.Secret, error) {
	if e.Secret != pki.SecretCA {
		return nil, fmt.Errorf("it contains secret %q, not %s", e.Secret, pki.SecretCA)
	}
	if _, err := pki.ParseCA(e.Data); err != nil {
		return nil, errors.New("it contains no CA certificate that parses")
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: e.Secret, Namespace: e.Namespace, Labels: map[string]string{labelBackupOf: pki.SecretCA},
			Annotations: map[string]string{annotationFormerType: e.Type, annotationFormerMark: Marks{Labels: e.Labels, Annotations: e.Annotations}.text()},
		},
		Type: corev1.SecretType(e.Type), Data: maps.Clone(e.Data),
	}, nil
}

// RestoreFile returns the command that restores the CA of a cluster from a file. The path is absolute.
func RestoreFile(m *clusters.Member, path string) string {
	return plugin([]*clusters.Member{m}, "restore", "--in", m.Name, "--file", path)
}
