package rotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// errRefused says that a rotation must not begin as things are.
var errRefused = errors.New("the CA cannot be rotated as things are; nothing was written")

// checkStart returns the reasons against a rotation, all at once.
func (c Config) checkStart(m *mesh) error {
	var why []string
	add := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if m.old.Cert == nil {
		add("no cluster has a CA in secret %s", pki.SecretCA)
	}
	if m.old.Cert != nil && !m.old.HasKey() && m.method != Emergency {
		add("the key of the CA is missing in secret %s. Only --emergency replaces such a CA, and clusters do not accept each other meanwhile", pki.SecretCA)
	}
	leaves := 0
	for _, one := range m.clusters {
		c.checkCluster(m, one, add)
		leaves += len(one.leaves())
	}
	if err := m.complete(); err != nil {
		add("%v", err)
	}
	if leaves == 0 {
		add("no cluster has leaf certificates of Cluster Mesh or Hubble: give the clusters a new CA with kubectl mesh-ca init or sync instead")
	}
	if m.method == Emergency {
		return refusal(why)
	}
	if m.old.Cert != nil {
		if err := pki.CanCrossSign(m.old.Cert, m.at); err != nil && (m.method == Cross || m.at.After(m.old.Cert.NotAfter)) {
			add("the previous CA cannot sign the new one: %v", err)
		}
	}
	sides := make([]pki.Side, 0, len(m.clusters))
	for _, one := range m.clusters {
		sides = append(sides, one.Side)
		if lost := m.lost(one); len(lost) > 0 {
			add("%s: %s%s: the mesh must be connected, see kubectl mesh-ca status --live", one.Member.Name, lost[0], more(len(lost)-1))
		}
	}
	for _, p := range pki.Matrix(sides, m.at) {
		if p.Configured && p.Verdict != pki.OK {
			add("%s does not trust %s, or the reverse (%s): repair this first, see kubectl mesh-ca status", p.Client, p.Server, cmp.Or(p.Login.Reason, p.Identity.Reason))
		}
	}
	return refusal(why)
}

func refusal(why []string) error {
	if len(why) == 0 {
		return nil
	}
	slices.Sort(why)
	return fmt.Errorf("%w:\n  %s", errRefused, strings.Join(slices.Compact(why), "\n  "))
}

// checkAccess asks every cluster for all permissions that the rotation will need until its end, so that it does not get stuck in the middle.
func (c Config) checkAccess(ctx context.Context, m *mesh) error {
	of := map[*clusters.Member]*cluster{}
	for _, one := range m.clusters {
		of[one.Member] = one
	}
	var why []string
	for _, r := range fanout.Each(ctx, m.members(), 0, func(ctx context.Context, member *clusters.Member) (struct{}, error) {
		return struct{}{}, change.Review(ctx, member, c.Change.Timeout, of[member].needed()...)
	}) {
		if r.Err != nil {
			why = append(why, fmt.Sprintf("%s: %v", r.Member.Name, r.Err.Err))
		}
	}
	return refusal(why)
}

// needed are the permissions for all phases.
func (c *cluster) needed() []permissions.Permission {
	secrets := []string{pki.SecretCA, cilium.SecretClusterMesh, cilium.SecretKVStoreMesh}
	for name := range c.leaves() {
		secrets = append(secrets, name)
	}
	var out []permissions.Permission
	for _, name := range secrets {
		if c.Secrets[name].Object != nil {
			out = append(out, ca.AccessPatchSecrets().In(c.Namespace, name)...)
		}
	}
	out = append(out, ca.AccessCreateSecrets().In(c.Namespace, "")...)
	out = append(out, ca.AccessRemoveRotation().In(c.Namespace, SecretNew)...)
	out = append(out, ca.AccessRotationLock().In(c.Namespace, ConfigMapLock)...)
	out = append(out, ca.AccessCreateLock().In(c.Namespace, "")...)
	if c.meshAPI != nil {
		out = append(out, ca.AccessRestart().In(c.Namespace, cilium.DeploymentMeshAPI)...)
	}
	for _, job := range c.cronJobs {
		out = append(out, ca.AccessPatchCronJobs().In(c.Namespace, job.Name)...)
	}
	return out
}

// checkCluster adds the reasons of one cluster.
func (c Config) checkCluster(m *mesh, one *cluster, add func(string, ...any)) {
	name := one.Member.Name
	secret := one.CA()
	switch {
	case secret.Unreadable != "":
		add("%s: secret %s: %s", name, pki.SecretCA, secret.Unreadable)
		return
	case secret.Object == nil:
		add("%s: secret %s does not exist", name, pki.SecretCA)
		return
	case secret.Object.Immutable != nil && *secret.Object.Immutable:
		add("%s: secret %s is immutable", name, pki.SecretCA)
	}
	if authority, err := pki.ParseCA(secret.Object.Data); err != nil {
		add("%s: secret %s: %v", name, pki.SecretCA, err)
	} else if m.old.Cert != nil && !authority.Signer().Equal(m.old.Cert) {
		add("%s has another CA (SHA-256 %s) than %s (%s). Give all clusters one CA first: kubectl mesh-ca sync", name,
			pki.Short(pki.Fingerprint(authority.Signer())), m.clusters[0].Member.Name, pki.Short(pki.Fingerprint(m.old.Cert)))
	}
	if _, ok := one.Side.MeshAPI.Container("etcd"); one.Side.MeshAPI != nil && !ok {
		add("%s: clustermesh-apiserver has no etcd of its own (an external kvstore): its certificates are not in these Secrets", name)
	}
	for _, b := range one.Side.Bundles() {
		add("%s: processes trust %s instead of the ca.crt of the leaf certificates (tls.caBundle). Rotation does not write that object yet", name, b.Source)
	}
	for peer := range one.Side.Peers {
		if copies := one.Side.Copies(peer); len(copies) > 0 {
			add("%s has copies of certificates of %s (%s), which nothing renews: remove them first", name, peer, copies[0].Source)
		}
	}
	if one.Values.SetsCA && !c.ForceConflicts {
		add("%s: the values of release %s set %stls.ca.cert and %stls.ca.key: every upgrade writes that CA. Remove them from the values first, or use --force-conflicts", name, one.Release.Name, one.Values.Prefix, one.Values.Prefix)
	}
	c.checkLeaves(m, one, add)
}

// checkLeaves adds the reasons of the leaf Secrets of one cluster.
func (c Config) checkLeaves(m *mesh, one *cluster, add func(string, ...any)) {
	name := one.Member.Name
	for _, spec := range pki.LeafSpecs() {
		secret := one.Secrets[spec.Secret]
		switch {
		case secret.Unreadable != "":
			add("%s: secret %s: %s", name, spec.Secret, secret.Unreadable)
			continue
		case secret.Object == nil:
			continue
		case secret.Object.Immutable != nil && *secret.Object.Immutable:
			add("%s: secret %s is immutable", name, spec.Secret)
		}
		leaf, err := pki.ParseLeaf(secret.Object.Data)
		if err != nil || leaf.TrustNote != "" {
			add("%s: secret %s: %s", name, spec.Secret, cmp.Or(errText(err), leaf.TrustNote))
			continue
		}
		if m.old.Cert != nil && !leaf.SignedBy(m.old.Cert) && m.method != Emergency {
			add("%s: the certificate in secret %s is not signed by the CA in secret %s: re-issue it first, see kubectl mesh-ca status", name, spec.Secret, pki.SecretCA)
		}
	}
	switch o := one.owner(); {
	case o.Kind == pki.OwnerCertManager:
		add("%s: cert-manager issues the leaf certificates: rotate the CA of its issuer, which then re-issues them", name)
	case o.Reconciles() && !c.ForceConflicts:
		add("%s: the leaf certificates are %s; suspend it for the rotation and use --force-conflicts", name, o.Kept())
	}
	if o := pki.FindOwner(one.CA().Object.ObjectMeta, c.Manager); o.Reconciles() && o.Kind != pki.OwnerCertManager && !c.ForceConflicts {
		add("%s: secret %s is %s; suspend it for the rotation and use --force-conflicts", name, pki.SecretCA, o.Kept())
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// chooseMethod follows the owners' recipes: what Helm and certgen emit decides. The reason is shown.
func (m *mesh) chooseMethod(want string) (method Method, reason string, err error) {
	helm, others := []string{}, []string{}
	for _, c := range m.clusters {
		if c.owner().Kind == pki.OwnerHelm && !c.certgen() {
			helm = append(helm, c.Member.Name)
		} else {
			others = append(others, c.Member.Name)
		}
	}
	pathLength := m.old.Cert != nil && m.old.Cert.MaxPathLen == 0 && m.old.Cert.MaxPathLenZero
	switch Method(want) {
	case Emergency:
		return Emergency, "it was chosen with --emergency", nil
	case Cross, Bundle:
		if Method(want) == Bundle && slices.ContainsFunc(m.clusters, (*cluster).certgen) {
			return "", "", fmt.Errorf("--method %s cannot be used: certgen writes only one CA into a CA file, so that its clusters cannot trust both", Bundle)
		}
		return Method(want), "it was chosen with --method", nil
	case "":
	default:
		return "", "", fmt.Errorf("--method %q is invalid; it must be one of: %s, %s", want, Cross, Bundle)
	}
	switch {
	case len(others) == 0:
		return Bundle, "Helm issues the leaf certificates in every cluster: its upgrades keep two CAs in a CA file, but not a cross certificate", nil
	case pathLength && !slices.ContainsFunc(m.clusters, (*cluster).certgen):
		return Bundle, "the path length of the previous CA does not allow a cross certificate", nil
	case len(helm) > 0:
		return Cross, fmt.Sprintf("certgen or nobody issues the leaf certificates in %s, so that all clusters need cross certificates; Helm does not make them, so mesh-ca signs in %s",
			strings.Join(others, ", "), strings.Join(helm, ", ")), nil
	}
	return Cross, "no cluster's leaf certificates are issued by Helm: one restart of clustermesh-apiserver for each cluster is enough", nil
}
