package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// recordsAtOnce is how many release records one request returns. Each is up to 1 MiB, and unpacks to several.
const recordsAtOnce = 3

// ReadKept reads what is kept of CAs beside cilium-ca: backups, the values of all revisions of the Helm release that installed Cilium, and whether a
// rotation is under way. It needs permission to list Secrets; without it KeptNote says what could not be searched, and nothing else is missing.
// The records and backups contain keys and are discarded.
func ReadKept(ctx context.Context, states []*State, timeout time.Duration) {
	members := make([]*clusters.Member, len(states))
	of := map[*clusters.Member]*State{}
	for n, s := range states {
		members[n], of[s.Member] = s.Member, s
	}
	for _, r := range fanout.Each(ctx, members, timeout, func(ctx context.Context, m *clusters.Member) (struct{}, error) {
		return struct{}{}, of[m].readKept(ctx)
	}) {
		if s := of[r.Member]; r.Err != nil && s != nil && s.KeptNote == "" {
			s.KeptNote = r.Err.Err.Error()
		}
	}
}

func (s *State) readKept(ctx context.Context) error {
	// Without permission only a hint is missing: the certificates themselves tell the state.
	_, err := s.Member.Client.CoreV1().ConfigMaps(s.Namespace).Get(ctx, ConfigMapRotation, metav1.GetOptions{})
	s.Rotating = err == nil
	s.readDeleted(ctx)
	if err := s.readBackups(ctx); err != nil {
		return err
	}
	if !s.Release.Known() {
		return nil
	}
	return s.readHistory(ctx)
}

// errList says why Secrets were not searched.
func errList(namespace string, err error) error {
	if apierrors.IsForbidden(err) {
		return errors.New("no permission to list secrets in namespace " + namespace)
	}
	return err
}

func (s *State) readBackups(ctx context.Context) error {
	list, err := s.Member.Client.CoreV1().Secrets(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelBackupOf + "=" + pki.SecretCA})
	if err != nil {
		s.Values.Note = errList(s.Namespace, err).Error()
		return errList(s.Namespace, err)
	}
	for _, secret := range list.Items {
		if secret.Labels[labelBackupOf] != pki.SecretCA {
			continue
		}
		if ca, err := pki.ParseCA(secret.Data); err == nil {
			s.Kept = append(s.Kept, Kept{Cert: ca.Identity(), Where: "secret/" + secret.Name, Key: ca.Key == pki.KeyMatches})
		}
	}
	return nil
}

// readHistory reads the values of each revision of the release. The deployed one tells what the next upgrade writes; the others can bring a former CA back
// (helm rollback, and a failed upgrade with --atomic).
func (s *State) readHistory(ctx context.Context) error {
	secrets, latest := s.Member.Client.CoreV1().Secrets(s.Release.Namespace), metav1.Time{}
	options := metav1.ListOptions{LabelSelector: "owner=helm,name=" + s.Release.Name, Limit: recordsAtOnce}
	found := false
	for {
		list, err := secrets.List(ctx, options)
		if err != nil {
			s.Values.Note = errList(s.Release.Namespace, err).Error()
			return errList(s.Release.Namespace, err)
		}
		for i := range list.Items {
			item := &list.Items[i]
			record, ok := recordOf(item)
			if !ok {
				continue
			}
			if item.Labels["status"] == "deployed" && !item.CreationTimestamp.Before(&latest) {
				latest, found = item.CreationTimestamp, true
				s.take(record)
			}
			s.keepValues(record)
		}
		if options.Continue = list.Continue; options.Continue == "" {
			break
		}
	}
	if !found {
		s.Values.Note = "its record was not found"
	}
	return nil
}

// recordOf unpacks a record of Helm.
func recordOf(secret *corev1.Secret) (helmRelease, bool) {
	if secret.Type != "helm.sh/release.v1" {
		return helmRelease{}, false
	}
	record, err := decodeRelease(secret.Data["release"])
	return record, err == nil
}

// keepValues notes the CA in the values of one revision, once for each CA.
func (s *State) keepValues(record helmRelease) {
	v := record.values()
	if !v.SetsCA {
		return
	}
	certs, err := pki.ParseCertificates(v.Cert)
	if err != nil {
		return
	}
	where := fmt.Sprintf("revision %d of release %s", record.Version, s.Release.Name)
	s.Kept = append(s.Kept, Kept{Cert: certs[0], Where: where, Key: true})
}

// former is a CA that is not used any more.
type former struct {
	cert             *x509.Certificate
	trustedBy, keyIn []string
}

// formerCAs lists the CAs of a cluster that are not used any more: those of which nothing that was read is signed, that are still trusted or whose key
// still exists. A certificate that is trusted counts only if it is known to be a former CA, because it was kept, or if every cluster that this one is
// connected to was read: it may be the CA of a cluster that was not.
func (x examination) formerCAs(s *State) []former {
	var out []*former
	find := func(cert *x509.Certificate) *former {
		for _, f := range out {
			if pki.SameKey(f.cert, cert) {
				return f
			}
		}
		f := &former{cert: cert}
		out = append(out, f)
		return f
	}
	for _, k := range s.Kept {
		if k.Key && !x.inUse(k.Cert) {
			f := find(k.Cert)
			f.keyIn = append(f.keyIn, k.Where)
		}
	}
	all := x.readAllPeersOf(s)
	for _, file := range s.trustFiles() {
		for _, cert := range file.Certs {
			kept := func(k Kept) bool { return pki.SameKey(k.Cert, cert) }
			if !x.inUse(cert) && (all || slices.ContainsFunc(x.kept, kept)) {
				f := find(cert)
				f.trustedBy = append(f.trustedBy, file.Source.String())
			}
		}
	}
	result := make([]former, len(out))
	for i, f := range out {
		slices.Sort(f.trustedBy)
		slices.Sort(f.keyIn)
		f.trustedBy, f.keyIn = slices.Compact(f.trustedBy), slices.Compact(f.keyIn)
		result[i] = *f
	}
	slices.SortFunc(result, func(a, b former) int { return strings.Compare(pki.Fingerprint(a.cert), pki.Fingerprint(b.cert)) })
	return result
}

// trustFiles lists the CA files of a cluster: the ca.crt of leaf Secrets and bundles. Copies of a peer's CA are left out: they are the peer's.
func (s *State) trustFiles() []pki.Bundle {
	var out []pki.Bundle
	out = append(out, s.bundles()...)
	for _, spec := range pki.LeafSpecs() {
		secret := s.Secrets[spec.Secret].Object
		if secret == nil {
			continue
		}
		if leaf, err := pki.ParseLeaf(secret.Data); err == nil {
			src := pki.Source{Ref: pki.Ref{Kind: pki.Secret, Name: spec.Secret}, Key: pki.KeyCACert}
			out = append(out, pki.Bundle{Source: src, Certs: leaf.Trust})
		}
	}
	return out
}

// readAllPeersOf reports whether every peer of a cluster was read.
func (x examination) readAllPeersOf(s *State) bool {
	for peer := range s.Side.Peers {
		if x.state(peer) == nil {
			return false
		}
	}
	return s.Side.PeersNote == "" && len(x.states) == x.members
}

// inUse reports whether a CA's key is that of a certificate in a cilium-ca, or whether it signed a leaf certificate, or a certificate in its chain, of
// any cluster.
func (x examination) inUse(cert *x509.Certificate) bool {
	key := string(cert.RawSubjectPublicKeyInfo)
	known, ok := x.used[key]
	if !ok {
		known = slices.ContainsFunc(x.leaves(), func(l pki.Leaf) bool { return l.SignedBy(cert) })
		x.used[key] = known
	}
	return known
}

// leaves returns the leaf certificates of all clusters.
func (x examination) leaves() []pki.Leaf {
	var out []pki.Leaf
	for _, s := range x.states {
		out = slices.AppendSeq(out, maps.Values(s.LeafCertificates()))
	}
	return out
}

// usedKeys returns the keys of all certificates in the clusters' cilium-ca.
func usedKeys(states []*State) map[string]bool {
	out := map[string]bool{}
	for _, s := range states {
		for _, cert := range s.chain() {
			out[string(cert.RawSubjectPublicKeyInfo)] = true
		}
	}
	return out
}

// chain returns the certificates of cilium-ca, none if there is none that can be read.
func (s *State) chain() []*x509.Certificate {
	secret := s.CA().Object
	if secret == nil {
		return nil
	}
	ca, err := pki.ParseCA(secret.Data)
	if err != nil {
		return nil
	}
	return ca.Chain
}
