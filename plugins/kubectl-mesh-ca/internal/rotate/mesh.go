package rotate

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// Names of what a rotation keeps in Cilium's namespace of every cluster.
const (
	// SecretNew keeps NEW, certificate and key, from the start of a rotation to its end.
	SecretNew = ca.SecretRotation
	// ConfigMapLock says who rotates, since when and from where. It holds no progress.
	ConfigMapLock = ca.ConfigMapRotation

	annotationReplaces = "mesh.kubectl.io/replaces" // on SecretNew: the fingerprint of OLD
	annotationMethod   = "mesh.kubectl.io/rotation-method"
	annotationClusters = "mesh.kubectl.io/rotation-clusters" // on SecretNew: all clusters that take part
	annotationResume   = "mesh.kubectl.io/suspended-by"      // on a CronJob: what suspended it
)

// cluster is one cluster as it was read. It holds private keys and is never printed.
type cluster struct {
	*ca.State

	kept     *corev1.Secret // SecretNew
	former   ca.Former      // the backup of OLD
	lock     *corev1.ConfigMap
	cronJobs []*batchv1.CronJob
	meshAPI  *appsv1.Deployment
	agents   int // that should run
	running  Running
	seen     time.Time // since when this run has seen nothing new in it; see watch
}

// mesh is all clusters at one moment.
type mesh struct {
	clusters []*cluster
	at       time.Time
	trusted  map[string]bool // by client and server: their certificates suit each other; see lost

	method   Method
	old, new pki.CertKey
	x        *x509.Certificate // NEW, signed by OLD; nil with Bundle
	started  bool              // NEW is kept in at least one cluster
	// rehearsal is the key of all leaf certificates of a rehearsal, which are discarded; nil elsewhere.
	rehearsal crypto.Signer
}

func (m *mesh) pair() pki.Rotation { return pki.Rotation{Old: m.old.Cert, New: m.new.Cert} }

func (m *mesh) cluster(name string) *cluster {
	for _, c := range m.clusters {
		if c.Member.Name == name {
			return c
		}
	}
	return nil
}

func (m *mesh) members() []*clusters.Member {
	out := make([]*clusters.Member, len(m.clusters))
	for n, c := range m.clusters {
		out[n] = c.Member
	}
	return out
}

// errIncomplete says that a cluster could not be read. Nothing is decided without it: what it presents and trusts is not known.
var errIncomplete = errors.New("every cluster of the mesh must be read")

// read reads all clusters, the keys of a rotation that is under way, and what the processes do.
func (c Config) read(ctx context.Context, members []*clusters.Member) (*mesh, error) {
	reading := ca.ReadAll(ctx, members, c.Change.Timeout)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, m := range reading.Members {
		if m.Err != nil {
			return nil, fmt.Errorf("%w; %s could not be read: %w", errIncomplete, m.Label(), m.Err)
		}
	}
	slices.SortFunc(reading.States, func(a, b *ca.State) int { return strings.Compare(a.Member.Name, b.Member.Name) })
	m := &mesh{at: c.Clock.Now()}
	of := map[*clusters.Member]*cluster{}
	for _, s := range reading.States {
		one := &cluster{State: s}
		of[s.Member] = one
		m.clusters = append(m.clusters, one)
	}
	for _, r := range fanout.Each(ctx, reading.Members, c.Change.Timeout, func(ctx context.Context, member *clusters.Member) (struct{}, error) {
		return struct{}{}, of[member].readRotation(ctx)
	}) {
		if r.Err != nil {
			return nil, fmt.Errorf("cluster %q: %w", r.Member.Name, r.Err)
		}
	}
	for _, one := range m.clusters {
		if err := one.readable(); err != nil {
			return nil, err
		}
	}
	if err := c.readFormers(ctx, m, of); err != nil {
		return nil, err
	}
	return m, m.keys()
}

// readRotation reads what a rotation keeps in one cluster, and the objects that it changes besides Secrets.
func (c *cluster) readRotation(ctx context.Context) error {
	api := c.Member.Client
	var err error
	if c.kept, err = optional(api.CoreV1().Secrets(c.Namespace).Get(ctx, SecretNew, metav1.GetOptions{})); err != nil {
		return err
	}
	if c.lock, err = optional(api.CoreV1().ConfigMaps(c.Namespace).Get(ctx, ConfigMapLock, metav1.GetOptions{})); err != nil {
		return err
	}
	if c.meshAPI, err = optional(api.AppsV1().Deployments(c.Namespace).Get(ctx, cilium.DeploymentMeshAPI, metav1.GetOptions{})); err != nil {
		return err
	}
	agents, err := optional(api.AppsV1().DaemonSets(c.Namespace).Get(ctx, cilium.DaemonSetName, metav1.GetOptions{}))
	if err != nil {
		return err
	}
	if agents != nil {
		c.agents = int(agents.Status.DesiredNumberScheduled)
	}
	for _, name := range c.CronJobs {
		job, err := optional(api.BatchV1().CronJobs(c.Namespace).Get(ctx, name, metav1.GetOptions{}))
		if err != nil {
			return err
		}
		if job != nil {
			c.cronJobs = append(c.cronJobs, job)
		}
	}
	old := c.replaces()
	if old == "" && c.CA().Object != nil {
		if authority, err := pki.ParseCA(c.CA().Object.Data); err == nil {
			old = pki.Fingerprint(authority.Signer())
		}
	}
	return c.readFormer(ctx, old)
}

// readable says why a cluster cannot take part, or nil. What cannot be read is not guessed.
func (c *cluster) readable() error {
	for _, name := range append([]string{pki.SecretCA, cilium.SecretClusterMesh, cilium.SecretKVStoreMesh}, leafNames()...) {
		if why := c.Secrets[name].Unreadable; why != "" {
			return fmt.Errorf("cluster %q: secret %s/%s: %s", c.Member.Name, c.Namespace, name, why)
		}
	}
	if c.CA().Object == nil {
		return fmt.Errorf("cluster %q: secret %s/%s does not exist: kubectl mesh-ca sync copies the CA of another cluster", c.Member.Name, c.Namespace, pki.SecretCA)
	}
	return nil
}

func leafNames() []string {
	var out []string
	for _, spec := range pki.LeafSpecs() {
		out = append(out, spec.Secret)
	}
	return out
}

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

// keys finds OLD and NEW. Before a rotation OLD is what every cilium-ca has, and there is no NEW.
func (m *mesh) keys() error {
	for _, c := range m.clusters {
		if c.kept == nil {
			continue
		}
		signer, err := pki.ParseSigner(c.kept.Data)
		if err != nil {
			return fmt.Errorf("cluster %q: secret %s/%s: %w", c.Member.Name, c.Namespace, SecretNew, err)
		}
		if m.started && !m.new.Cert.Equal(signer.Cert) {
			return fmt.Errorf("the clusters keep different new CAs in secret %s (%s has %s, another one %s): two rotations were started at once. Delete the Secret of the one that has changed nothing, then run the command again",
				SecretNew, c.Member.Name, pki.Short(pki.Fingerprint(signer.Cert)), pki.Short(pki.Fingerprint(m.new.Cert)))
		}
		m.started, m.new, m.method = true, signer, Method(c.kept.Annotations[annotationMethod])
	}
	for _, c := range m.clusters {
		for _, secret := range []*corev1.Secret{c.former.Secret, c.CA().Object} {
			if secret == nil || m.old.HasKey() {
				continue
			}
			signer, err := pki.ParseSigner(secret.Data)
			if err != nil { // a CA whose key is lost can only be replaced at once
				signer, err = pki.ParseUnsigned(secret.Data)
			}
			// One copy with the key is enough, wherever it is.
			same := m.old.Cert == nil || m.old.Cert.Equal(signer.Cert)
			if err == nil && same && (!m.started || pki.Fingerprint(signer.Cert) == m.replaces()) {
				m.old = signer
			}
		}
	}
	if m.old.Cert == nil && m.started {
		return fmt.Errorf("no cluster has the previous CA (SHA-256 %s), neither in secret %s nor in a backup: the rotation cannot go on", pki.Short(m.replaces()), pki.SecretCA)
	}
	return nil
}

// replaces is the fingerprint of OLD, as SecretNew names it.
func (m *mesh) replaces() string {
	for _, c := range m.clusters {
		if v := c.replaces(); v != "" {
			return v
		}
	}
	return ""
}

func (c *cluster) replaces() string {
	if c.kept == nil {
		return ""
	}
	return c.kept.Annotations[annotationReplaces]
}

// positions turn what was read into what Next decides by.
func (m *mesh) positions(goal Goal) []Position {
	out := make([]Position, 0, len(m.clusters))
	for _, c := range m.clusters {
		p := Position{Cluster: c.Member.Name, Prepared: m.prepared(c), Left: c.left(), Leaves: map[string]pki.Accepts{}, Trusts: map[string]pki.Accepts{}}
		for name, leaf := range c.LeafCertificates() {
			p.Leaves[name], p.Trusts[name] = m.pair().Leaf(leaf.Chain, m.at), m.pair().Trust(leaf.Trust)
		}
		p.Authority = m.authorityFits(c, p.leafKind(goal), p.trustKind(goal))
		p.EtcdBehind, p.EtcdUnknown, p.ClientsBehind = len(c.running.EtcdBehind) > 0, len(c.running.EtcdUnknown) > 0, len(c.running.ClientsBehind) > 0
		out = append(out, p)
	}
	return out
}

// leafKind is the kind that all leaf certificates of a cluster have, or the one that they will have at the end.
func (p Position) leafKind(goal Goal) pki.Accepts { return common(p.Leaves, goal.ca()) }

func (p Position) trustKind(goal Goal) pki.Accepts { return common(p.Trusts, goal.ca()) }

func common(kinds map[string]pki.Accepts, otherwise pki.Accepts) pki.Accepts {
	for _, k := range []pki.Accepts{pki.AcceptsOld, pki.AcceptsBoth, pki.AcceptsNew} {
		if len(kinds) > 0 && all(kinds, k) {
			return k
		}
	}
	return otherwise
}

// owner says who issues the leaf certificates of a cluster: the strongest of the owners of its Secrets. certgen comes before Helm, because it writes only one CA
// into a CA file.
func (c *cluster) owner() pki.Owner {
	var first pki.Owner
	for _, o := range c.owners() {
		if o.Reconciles() {
			return o
		}
		weak := first.Kind == "" || first.Kind == pki.OwnerHand || first.Kind == pki.OwnerUnknown || first.Kind == pki.OwnerMeshCA
		if weak || first.Kind == pki.OwnerHelm && o.Kind == pki.OwnerCertgen {
			first.Kind, first.Name, first.Mark = cmp.Or(o.Kind, first.Kind), o.Name, o.Mark
		}
	}
	return first
}

// owners are those of the leaf Secrets of a cluster.
func (c *cluster) owners() []pki.Owner {
	var out []pki.Owner
	for _, spec := range pki.LeafSpecs() {
		if secret := c.Secrets[spec.Secret].Object; secret != nil {
			out = append(out, pki.FindOwner(secret.ObjectMeta))
		}
	}
	return out
}

// issuedBy returns an owner of a kind, and reports whether one of the leaf Secrets of a cluster has it.
func (c *cluster) issuedBy(kind pki.OwnerKind) (pki.Owner, bool) {
	all := c.owners()
	n := slices.IndexFunc(all, func(o pki.Owner) bool { return o.Kind == kind })
	if n < 0 {
		return pki.Owner{}, false
	}
	return all[n], true
}
