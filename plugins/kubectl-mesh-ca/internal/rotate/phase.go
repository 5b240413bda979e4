package rotate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

const (
	labelRotation = "mesh.kubectl.io/rotation"
	managedBy     = "kubectl-mesh-ca"
)

// plan turns a phase into writes.
func (c Config) plan(m *mesh, phase Phase) (*change.Plan, error) {
	p := &change.Plan{Action: string(phase.Kind)}
	if phase.Leaf == pki.AcceptsBoth || phase.Kind == Trust { // later OLD may have expired, and is not needed
		if err := m.crossSign(); err != nil {
			return nil, err
		}
	}
	for _, name := range phase.Clusters {
		phases, err := c.planCluster(m, m.cluster(name), phase)
		if err != nil {
			return nil, fmt.Errorf("cluster %q: %w", name, err)
		}
		for _, steps := range phases {
			if len(steps) > 0 {
				p.Phases = append(p.Phases, &change.Phase{Steps: steps})
			}
		}
	}
	var all []change.Step
	for _, ph := range p.Phases {
		all = append(all, ph.Steps...)
	}
	if m.method == Emergency { // it is known to end the trust for a while
		return p, nil
	}
	return p, m.guard(all)
}

// planCluster returns the writes of a phase to one cluster, as lists of which each begins when the one before it has ended.
func (c Config) planCluster(m *mesh, one *cluster, phase Phase) ([][]change.Step, error) {
	switch phase.Kind {
	case Prepare:
		return c.prepare(m, one), nil
	case Issue:
		return c.issue(m, one, phase.Leaf)
	case Trust:
		return c.trust(m, one, phase.Trust)
	case Replace:
		return c.replace(m, one, phase.Leaf)
	case Restart:
		return [][]change.Step{{ca.NewMeshAPIRestart(one.State, one.meshAPI, c.Clock.Now(), c.Manager)}}, nil
	case Refresh:
		return [][]change.Step{ca.NewRefresh(one.State, c.Clock.Now(), c.Manager)}, nil
	case CleanUp:
		return c.cleanUp(one), nil
	}
	return nil, fmt.Errorf("phase %q has no writes", phase.Kind)
}

// prepare keeps both CAs before anything else is written, then takes the lock, then keeps certgen from writing by itself.
func (c Config) prepare(m *mesh, one *cluster) [][]change.Step {
	var keep, lock, suspend []change.Step
	if !m.keeps(one) {
		have := one.CA().Object
		now, err := pki.ParseCA(have.Data)
		if err != nil || !now.Signer().Equal(m.old.Cert) || now.Key != pki.KeyMatches && m.old.HasKey() { // it was replaced meanwhile, or only other clusters have its key
			have = have.DeepCopy()
			have.Data = map[string][]byte{pki.KeyCACert: m.old.CertPEM(), pki.KeyCAKey: m.old.KeyPEM()}
		}
		backup := ca.NewBackup(have, pki.Fingerprint(m.old.Cert))
		backup.Name = one.former.Free
		keep = append(keep, ca.NewCreation(one.State, change.Secret, backup, c.Manager, "keep the previous CA", ca.AccessCreateSecrets()))
	}
	if one.kept == nil {
		obj := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: SecretNew, Namespace: one.Namespace,
				Labels:      map[string]string{pki.LabelManagedBy: managedBy, labelRotation: "new"},
				Annotations: map[string]string{annotationReplaces: pki.Fingerprint(m.old.Cert), annotationMethod: string(m.method), annotationClusters: strings.Join(m.names(), ",")}},
			Type: corev1.SecretTypeOpaque, Data: map[string][]byte{pki.KeyCACert: m.new.CertPEM(), pki.KeyCAKey: m.new.KeyPEM()},
		}
		keep = append(keep, ca.NewCreation(one.State, change.Secret, obj, c.Manager, "keep the new CA", ca.AccessCreateSecrets()))
	}
	if one.lock == nil {
		taken := ca.NewCreation(one.State, change.ConfigMap, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: ConfigMapLock, Namespace: one.Namespace, Labels: map[string]string{pki.LabelManagedBy: managedBy}},
			Data:       map[string]string{"by": c.Who, "since": m.at.UTC().Format(time.RFC3339), "from": pki.Short(pki.Fingerprint(m.old.Cert)), "to": pki.Short(pki.Fingerprint(m.new.Cert))},
		}, c.Manager, "the lock of the rotation", ca.AccessRotationLock())
		taken.Needs = append(taken.Needs, ca.AccessCreateLock().In(one.Namespace, "")...)
		lock = append(lock, taken)
	}
	for _, job := range one.active() {
		suspend = append(suspend, c.setSuspended(one, job, true))
	}
	return [][]change.Step{keep, lock, suspend}
}

func (c Config) setSuspended(one *cluster, job *batchv1.CronJob, suspended bool) *ca.Write {
	fields := change.Fields{Spec: map[string]any{"suspend": suspended}, Annotations: map[string]*string{annotationResume: nil}}
	what := "resume certgen"
	if suspended {
		fields.Annotations[annotationResume], what = ptr.To(ConfigMapLock), "suspend certgen"
	}
	s := ca.NewPatch(one.State, change.CronJob, job, fields, c.Manager, what, ca.AccessPatchCronJobs())
	s.Compare = func(stored metav1.Object) *change.Difference {
		if have, ok := stored.(*batchv1.CronJob); ok && ptr.Deref(have.Spec.Suspend, false) == suspended {
			return nil
		}
		return &change.Difference{Field: "spec.suspend"}
	}
	return s
}

// issue writes leaf certificates. cilium-ca comes first, so that its owner would issue the same.
func (c Config) issue(m *mesh, one *cluster, kind pki.Accepts) ([][]change.Step, error) {
	trust := common(one.trusts(m), pki.AcceptsOld)
	first := c.authorityStep(m, one, kind, trust)
	var leaves []change.Step
	for _, name := range slices.Sorted(maps.Keys(one.LeafCertificates())) {
		secret := one.Secrets[name].Object
		data, err := m.leafData(secret, kind)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
		if len(data) > 0 {
			leaves = append(leaves, ca.NewSecretPatch(one.State, secret, data, c.Manager, "leaf certificate: "+leafText(kind)))
		}
	}
	return [][]change.Step{first, leaves}, nil
}

func leafText(kind pki.Accepts) string {
	switch kind {
	case pki.AcceptsBoth:
		return "signed by the new CA, sent with its cross certificate"
	case pki.AcceptsNew:
		return "signed by the new CA"
	}
	return "signed by the previous CA"
}

func (c Config) authorityStep(m *mesh, one *cluster, leaf, trust pki.Accepts) []change.Step {
	data := m.authority(one, leaf, trust)
	if len(data) == 0 {
		return nil
	}
	return []change.Step{ca.NewSecretPatch(one.State, one.CA().Object, data, c.Manager, "what the owner of the leaf certificates signs with")}
}

// trust writes CA files, and cilium-ca first.
func (c Config) trust(m *mesh, one *cluster, kind pki.Accepts) ([][]change.Step, error) {
	leaf := common(one.kinds(m), pki.AcceptsOld)
	first := c.authorityStep(m, one, leaf, kind)
	var files []change.Step
	for _, name := range slices.Sorted(maps.Keys(one.LeafCertificates())) {
		secret := one.Secrets[name].Object
		data, err := m.trustData(secret, kind)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
		if len(data) > 0 {
			files = append(files, ca.NewSecretPatch(one.State, secret, data, pki.FieldManagerTrust, "CA file: "+trustText(kind)))
		}
	}
	return [][]change.Step{first, files}, nil
}

func trustText(kind pki.Accepts) string {
	switch kind {
	case pki.AcceptsBoth:
		return "the previous and the new CA"
	case pki.AcceptsNew:
		return "the new CA"
	}
	return "the previous CA"
}

func (c *cluster) kinds(m *mesh) map[string]pki.Accepts {
	out := map[string]pki.Accepts{}
	for name, leaf := range c.LeafCertificates() {
		out[name] = m.pair().Leaf(leaf.Chain, m.at)
	}
	return out
}

func (c *cluster) trusts(m *mesh) map[string]pki.Accepts {
	out := map[string]pki.Accepts{}
	for name, leaf := range c.LeafCertificates() {
		out[name] = m.pair().Trust(leaf.Trust)
	}
	return out
}

// replace writes leaf certificates and CA files at once.
func (c Config) replace(m *mesh, one *cluster, kind pki.Accepts) ([][]change.Step, error) {
	first := c.authorityStep(m, one, kind, kind)
	var leaves []change.Step
	for _, name := range slices.Sorted(maps.Keys(one.LeafCertificates())) {
		secret := one.Secrets[name].Object
		data, err := m.leafData(secret, kind)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
		if leaf := one.LeafCertificates()[name]; m.pair().Trust(leaf.Trust) != kind || !m.pair().Only(leaf.Trust) {
			if data == nil {
				data = map[string][]byte{}
			}
			data[pki.KeyCACert] = pki.EncodeCertificates(m.new.Cert)
		}
		if len(data) > 0 {
			leaves = append(leaves, ca.NewSecretPatch(one.State, secret, data, pki.FieldManagerTrust, "leaf certificate and CA file: "+trustText(kind)))
		}
	}
	return [][]change.Step{first, leaves}, nil
}

// cleanUp removes what only the rotation needed. The lock goes last: while it is there, the rotation is under way.
func (c Config) cleanUp(one *cluster) [][]change.Step {
	var resume, keys, lock []change.Step
	for _, job := range one.suspended() {
		resume = append(resume, c.setSuspended(one, job, false))
	}
	if one.kept != nil {
		keys = append(keys, ca.NewDeletion(one.State, change.Secret, one.kept, "the kept new CA", ca.AccessRemoveRotation()))
	}
	if one.lock != nil {
		lock = append(lock, ca.NewDeletion(one.State, change.ConfigMap, one.lock, "the lock of the rotation", ca.AccessRotationLock()))
	}
	return [][]change.Step{resume, keys, lock}
}

func (m *mesh) names() []string {
	out := make([]string, len(m.clusters))
	for n, c := range m.clusters {
		out[n] = c.Member.Name
	}
	return out
}
