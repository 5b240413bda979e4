package ca

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// KeptSecret is a Secret that keeps what a command of mesh-ca replaced. It contains a private key and is never printed.
type KeptSecret struct {
	State  *State
	Secret *corev1.Secret

	// subjects are the certificates that the kept key belongs to; all certificates of the file where no key fits. Empty: nothing parses.
	subjects []*x509.Certificate
	ca       pki.CA
}

// Of is the name of the Secret whose former content is kept.
func (k *KeptSecret) Of() string { return k.Secret.Labels[labelBackupOf] }

// ReadBackups lists what is kept in the clusters, oldest first in each. A cluster whose Secrets may not be listed is returned as a copy of its member with the error.
// It needs the permission to list Secrets; what is not a backup is discarded.
func ReadBackups(ctx context.Context, states []*State, timeout time.Duration) (kept []*KeptSecret, failed []*clusters.Member) {
	of, members := byMember(states)
	for _, r := range fanout.Each(ctx, members, timeout, func(ctx context.Context, m *clusters.Member) ([]*KeptSecret, error) {
		return of[m].kept(ctx)
	}) {
		if r.Err != nil {
			failed = append(failed, r.Member.WithError(r.Err))
			continue
		}
		kept = append(kept, r.Value...)
	}
	return kept, failed
}

func byMember(states []*State) (map[*clusters.Member]*State, []*clusters.Member) {
	of, members := map[*clusters.Member]*State{}, make([]*clusters.Member, len(states))
	for n, s := range states {
		members[n], of[s.Member] = s.Member, s
	}
	return of, members
}

func (s *State) kept(ctx context.Context) ([]*KeptSecret, error) {
	list, err := s.Member.Client.CoreV1().Secrets(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelBackupOf})
	if err != nil {
		return nil, fmt.Errorf("list the backups in namespace %s: %w", s.Namespace, err)
	}
	var out []*KeptSecret
	for n := range list.Items {
		out = append(out, newKept(s, &list.Items[n]))
	}
	slices.SortStableFunc(out, func(a, b *KeptSecret) int {
		return cmp.Or(a.Secret.CreationTimestamp.Compare(b.Secret.CreationTimestamp.Time), strings.Compare(a.Secret.Name, b.Secret.Name))
	})
	return out, nil
}

func newKept(s *State, secret *corev1.Secret) *KeptSecret {
	k := &KeptSecret{State: s, Secret: secret}
	// A leaf Secret parses in the same way: tls.crt and tls.key take precedence where ca.key does not exist.
	ca, err := pki.ParseCA(secret.Data)
	if err != nil {
		return k
	}
	k.ca = ca
	for _, cert := range ca.Chain {
		if state, _ := pki.CheckKey(cert, secret.Data[ca.Layout.Key]); state == pki.KeyMatches {
			k.subjects = append(k.subjects, cert)
		}
	}
	if len(k.subjects) == 0 {
		k.subjects = ca.Chain
	}
	return k
}

// Rotations returns the clusters in which a rotation is under way, and since when. Whether that is so must be known of every cluster.
func Rotations(ctx context.Context, states []*State, timeout time.Duration) (map[string]time.Time, error) {
	of, members := byMember(states)
	out := map[string]time.Time{}
	var unread []error
	for _, r := range fanout.Each(ctx, members, timeout, func(ctx context.Context, m *clusters.Member) (time.Time, error) { return of[m].rotation(ctx) }) {
		switch {
		case r.Err != nil:
			unread = append(unread, fmt.Errorf("cluster %q: cannot determine whether a rotation is under way: %w", r.Member.Name, r.Err))
		case !r.Value.IsZero():
			out[r.Member.Name] = r.Value
		}
	}
	return out, errors.Join(unread...)
}

// rotation returns when a rotation began that has not ended; the zero time for none.
func (s *State) rotation(ctx context.Context) (time.Time, error) {
	api := s.Member.Client.CoreV1()
	var objects []metav1.Object
	cm, err := api.ConfigMaps(s.Namespace).Get(ctx, ConfigMapRotation, metav1.GetOptions{})
	switch {
	case err == nil:
		objects = append(objects, cm)
	case !apierrors.IsNotFound(err):
		return time.Time{}, err
	}
	secret, err := api.Secrets(s.Namespace).Get(ctx, SecretRotation, metav1.GetOptions{})
	switch {
	case err == nil:
		objects = append(objects, secret)
	case !apierrors.IsNotFound(err):
		return time.Time{}, err
	}
	var since time.Time
	for _, o := range objects {
		// An object without a time is there too.
		at := cmp.Or(o.GetCreationTimestamp().Time, time.Unix(0, 0))
		if since.IsZero() || at.Before(since) {
			since = at
		}
	}
	return since, nil
}

// Document returns the facts of a backup. uses are what Uses returned, and gaps what Gaps did: with gaps, a backup that nothing is known to use may be in use.
func (k *KeptSecret) Document(uses []v1alpha1.CAUse, gaps []string) v1alpha1.CABackup {
	m := k.State.Member
	out := v1alpha1.CABackup{
		Cluster: m.Name, Context: m.Context, Namespace: k.Secret.Namespace, Name: k.Secret.Name, OriginalSecret: k.Of(), Uses: uses, State: v1alpha1.BackupUnused,
		Since: k.Secret.CreationTimestamp.UTC(),
	}
	switch {
	case len(uses) > 0:
		out.State = v1alpha1.BackupUsed
	case len(k.subjects) == 0:
		out.State, out.Message = v1alpha1.BackupUnknown, "it contains no certificate that parses"
	case len(gaps) > 0:
		out.State = v1alpha1.BackupUnknown
	}
	if len(k.ca.Chain) > 0 {
		c := Certificate(k.ca.Signer())
		out.Certificate, out.Key = &c, string(k.ca.Key)
	}
	return out
}
