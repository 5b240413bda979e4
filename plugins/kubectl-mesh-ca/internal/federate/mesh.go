package federate

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// cluster is one cluster as it was read. It holds private keys and is never printed.
type cluster struct {
	*ca.State

	authority pki.CA // cilium-ca
	// own is its CA under the certificate by which it is known, without a key where keyNote says why.
	own     pki.CertKey
	keyNote string
	issuer  Issuer

	lock     *corev1.ConfigMap
	rotating bool
	former   ca.Former     // the backup of cilium-ca
	backups  []pki.CertKey // the CAs that are kept; only a repair reads them
	meshAPI  *appsv1.Deployment
	running  rotate.Running
}

// mesh is all clusters at one moment. Only those in scope are changed; the others are read to see that they lose nothing.
type mesh struct {
	all, scope []*cluster
	// authorities are the CAs of the clusters in scope, each once, in their order.
	authorities []pki.CertKey
	crosses     map[[2]string]*x509.Certificate
	accepted    map[[sha256.Size]byte]error // by chain and CA; see accepts
	recipe      Recipe
	off         bool
	at          time.Time
}

// errIncomplete says that a cluster could not be read.
var errIncomplete = errors.New("every cluster must be read")

func (c Config) read(ctx context.Context, members, scope []*clusters.Member) (*mesh, error) {
	reading := ca.ReadAll(ctx, members, c.Change.Timeout)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, m := range reading.Members {
		if m.Err != nil {
			return nil, fmt.Errorf("%w; %s could not be read: %w", errIncomplete, m.Label(), m.Err)
		}
	}
	m := &mesh{at: c.Clock.Now(), off: c.Action == Off, accepted: map[[sha256.Size]byte]error{}}
	of := map[*clusters.Member]*cluster{}
	for _, s := range reading.States {
		one := c.newCluster(s)
		of[s.Member] = one
		m.all = append(m.all, one)
		if slices.Contains(scope, s.Member) {
			m.scope = append(m.scope, one)
		}
	}
	for _, r := range fanout.Each(ctx, reading.Members, c.Change.Timeout, func(ctx context.Context, member *clusters.Member) (struct{}, error) {
		return struct{}{}, of[member].readMore(ctx, c.Action == Repair)
	}) {
		if r.Err != nil {
			return nil, fmt.Errorf("cluster %q: %w", r.Member.Name, r.Err)
		}
	}
	m.collect()
	return m, ctx.Err()
}

// newCluster finds the CA and the issuer of a cluster.
func (c Config) newCluster(s *ca.State) *cluster {
	one := &cluster{State: s}
	if secret := s.CA().Object; secret != nil {
		if authority, err := pki.ParseCA(secret.Data); err == nil {
			one.authority, one.own.Cert = authority, authority.Identity()
		}
		if signer, err := pki.ParseAuthority(secret.Data); err == nil {
			one.own = signer
		} else {
			one.keyNote = err.Error()
		}
	}
	var kinds []pki.OwnerKind
	for _, spec := range pki.LeafSpecs() {
		if leaf := s.Secrets[spec.Secret].Object; leaf != nil {
			kinds = append(kinds, c.leafOwner(leaf).Kind)
		}
	}
	one.issuer = issuerOf(kinds, len(s.CronJobs) > 0)
	return one
}

func (c Config) leafOwner(secret *corev1.Secret) pki.Owner {
	return pki.FindOwner(secret.ObjectMeta, c.Manager)
}

// readMore reads what a federation changes or looks at besides what every command reads. A repair also reads the CAs that are kept.
func (c *cluster) readMore(ctx context.Context, kept bool) error {
	api := c.Member.Client
	var err error
	if c.lock, err = optional(api.CoreV1().ConfigMaps(c.Namespace).Get(ctx, ca.ConfigMapFederation, metav1.GetOptions{})); err != nil {
		return err
	}
	if c.meshAPI, err = optional(api.AppsV1().Deployments(c.Namespace).Get(ctx, cilium.DeploymentMeshAPI, metav1.GetOptions{})); err != nil {
		return err
	}
	rotation, err := optional(api.CoreV1().ConfigMaps(c.Namespace).Get(ctx, ca.ConfigMapRotation, metav1.GetOptions{}))
	if err != nil {
		return err
	}
	next, err := optional(api.CoreV1().Secrets(c.Namespace).Get(ctx, ca.SecretRotation, metav1.GetOptions{}))
	if err != nil {
		return err
	}
	c.rotating = rotation != nil || next != nil
	if c.own.Cert != nil {
		c.former, err = c.ReadFormer(ctx, pki.Fingerprint(c.own.Cert), pki.ParseAuthority)
	}
	if kept && err == nil {
		c.backups, err = c.readBackups(ctx)
	}
	return err
}

// readBackups returns the former CAs of a cluster, with their keys. Without permission to list Secrets there are none: a repair then needs the CAs in use only.
func (c *cluster) readBackups(ctx context.Context) ([]pki.CertKey, error) {
	list, err := c.Member.Client.CoreV1().Secrets(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: ca.LabelBackupOf + "=" + pki.SecretCA})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []pki.CertKey
	for _, secret := range list.Items {
		if kept, err := pki.ParseAuthority(secret.Data); err == nil {
			out = append(out, kept)
		}
	}
	return out, nil
}

// collect lists the CAs. A repair also needs those that signed a leaf certificate or are trusted, and are kept only.
func (m *mesh) collect() {
	for _, c := range m.scope {
		if c.own.Cert != nil {
			m.add(c.own, c.keyNote == "")
		}
	}
	for _, c := range m.scope {
		for _, kept := range c.backups {
			if m.uses(kept.Cert) {
				m.add(kept, true)
			}
		}
	}
}

// add takes in a CA. One with a key replaces the same one without.
func (m *mesh) add(one pki.CertKey, key bool) {
	n := slices.IndexFunc(m.authorities, func(a pki.CertKey) bool { return pki.SameAuthority(a.Cert, one.Cert) })
	switch {
	case n < 0:
		m.authorities = append(m.authorities, one)
	case key && len(m.authorities[n].KeyPEM()) == 0:
		m.authorities[n] = one
	}
}

// oneCA reports whether all clusters have the same CA, so that there is nothing to do.
func (m *mesh) oneCA() bool {
	return len(m.authorities) == 1 && none(m.scope, func(c *cluster) bool { return c.own.Cert == nil })
}

// uses reports whether a leaf certificate is signed by a CA, or a CA file contains it.
func (m *mesh) uses(authority *x509.Certificate) bool {
	for _, c := range m.scope {
		for _, leaf := range c.LeafCertificates() {
			if leaf.Relation(authority) == pki.Direct || slices.ContainsFunc(leaf.Trust, func(t *x509.Certificate) bool { return pki.SameAuthority(t, authority) }) {
				return true
			}
		}
	}
	return false
}

func (m *mesh) cluster(name string) *cluster {
	for _, c := range m.scope {
		if c.Member.Name == name {
			return c
		}
	}
	return nil
}

// issuers are what issues the leaf certificates, by cluster.
func (m *mesh) issuers() map[string]Issuer {
	out := map[string]Issuer{}
	for _, c := range m.scope {
		out[c.Member.Name] = c.issuer
	}
	return out
}

// positions turn what was read into what Next decides by. id is the run whose lock counts.
func (m *mesh) positions(id string) ([]Position, error) {
	out := make([]Position, 0, len(m.scope))
	for _, c := range m.scope {
		p := Position{Cluster: c.Member.Name, EtcdBehind: len(c.running.EtcdBehind) > 0 || len(c.running.EtcdUnknown) > 0, ClientsBehind: m.behind(c)}
		chains, trust, err := m.missingIn(c)
		if err != nil {
			return nil, fmt.Errorf("cluster %q: %w", c.Member.Name, err)
		}
		p.Chains, p.Trust = len(chains) == 0, len(trust) == 0
		_, replaces := find(slices.Concat(chains, trust), pki.SecretCA)
		p.Locked = c.holder().ID == id && id != "" && (c.keeps() || !replaces)
		out = append(out, p)
	}
	return out, nil
}

// keeps reports whether cilium-ca is kept: with its key, unless it has none itself.
func (c *cluster) keeps() bool { return c.former.Secret != nil && (c.former.Key || c.keyNote != "") }

// optional turns "not found" into nil.
func optional[T any](got *T, err error) (*T, error) {
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // absent
	}
	if err != nil {
		return nil, err
	}
	return got, nil
}

// states are some clusters as they were read.
func (*mesh) states(of []*cluster) []*ca.State {
	out := make([]*ca.State, len(of))
	for n, c := range of {
		out[n] = c.State
	}
	return out
}

func (m *mesh) of(member *clusters.Member) *cluster {
	return m.all[slices.IndexFunc(m.all, func(c *cluster) bool { return c.Member == member })]
}
