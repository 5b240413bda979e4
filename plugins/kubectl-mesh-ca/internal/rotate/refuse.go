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
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
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
		add("no cluster has a CA in secret %s: make one with kubectl mesh-ca init, or install Cilium first", pki.SecretCA)
	}
	if m.old.Cert != nil && !m.old.HasKey() && m.method != Emergency {
		add("the key of the CA is missing in secret %s. Only --emergency replaces such a CA, and clusters do not accept each other meanwhile", pki.SecretCA)
	}
	_, wrong := Clocks(m.members())
	for _, text := range wrong {
		add("%s", text)
	}
	leaves := 0
	for _, one := range m.clusters {
		c.checkCluster(m, one, add)
		leaves += len(one.LeafCertificates())
	}
	if err := m.complete(c.Ignore); err != nil {
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
			add("the previous CA cannot sign the new one: %v. %s", err, m.instead())
		}
	}
	sides := make([]pki.Side, 0, len(m.clusters))
	for _, one := range m.clusters {
		if !m.apart(one) { // that it has another CA is reason enough
			sides = append(sides, one.Side)
		}
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

// instead is what can be done with a previous CA that cannot sign the new one.
func (m *mesh) instead() string {
	if m.at.Before(m.old.Cert.NotAfter) && !slices.ContainsFunc(m.clusters, (*cluster).certgen) {
		return fmt.Sprintf("Use --method %s, which does not need this signature", Bundle)
	}
	return "Only --emergency replaces such a CA, and clusters do not accept each other meanwhile"
}

func refusal(why []string) error {
	if len(why) == 0 {
		return nil
	}
	slices.Sort(why)
	return &failure.ReasonsError{Err: errRefused, Each: slices.Compact(why)}
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
	for name := range c.LeafCertificates() {
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
		add("%s: secret %s does not exist: kubectl mesh-ca sync copies the CA of another cluster", name, pki.SecretCA)
		return
	case secret.Object.Immutable != nil && *secret.Object.Immutable:
		add("%s", one.immutable(pki.SecretCA))
	}
	authority, err := pki.ParseCA(secret.Object.Data)
	if err != nil {
		add("%s: secret %s: %v", name, pki.SecretCA, err)
	} else if m.apart(one) {
		add("%s has another CA (SHA-256 %s) than %s (%s). Give all clusters one CA first: kubectl mesh-ca sync", name,
			pki.Short(pki.Fingerprint(authority.Signer())), m.clusters[0].Member.Name, pki.Short(pki.Fingerprint(m.old.Cert)))
	}
	if err == nil && !m.apart(one) {
		m.checkParts(one, authority, add)
	}
	if _, ok := one.Side.MeshAPI.Container("etcd"); one.Side.MeshAPI != nil && !ok {
		add("%s: clustermesh-apiserver has no etcd of its own (an external kvstore): its certificates are not in these Secrets. Replace their CA where they are issued", name)
	}
	for _, b := range one.Side.Bundles() {
		add("%s: processes trust %s instead of the ca.crt of the leaf certificates (tls.caBundle), and a rotation does not write that object. Set tls.caBundle.enabled to false in the Helm values first, then run kubectl mesh-ca status", name, b.Source)
	}
	for peer := range one.Side.Peers {
		if copies := one.Side.Copies(peer); len(copies) > 0 {
			add("%s has copies of certificates of %s (%s), which nothing renews: remove them first", name, peer, copies[0].Source)
		}
	}
	if one.Values.SetsCA && !c.ForceConflicts {
		add("%s: the values of release %s set %stls.ca.cert and %stls.ca.key: every upgrade writes that CA. Remove them from the values first, or use --force-conflicts", name, one.Release.Name, one.Values.Prefix, one.Values.Prefix)
	}
	if err := one.CertgenChains(); err != nil && m.method == Cross {
		add("%s: the rotation writes a cross certificate and a CA into secret %s, and only %v. Upgrade Cilium's chart, or set certgen.image.tag to a known version", name, pki.SecretCA, err)
	}
	c.checkLeaves(m, one, add)
}

// checkParts: a rotation writes only OLD, NEW and X into cilium-ca. What else the Secret contains would be lost, and with it the trust that comes from it.
func (m *mesh) checkParts(one *cluster, authority pki.CA, add func(string, ...any)) {
	if m.method == Emergency { // it ends the trust anyway
		return
	}
	const federation = "Clusters that are federated cannot be rotated: separate them first, with kubectl mesh-ca federate --off"
	name, crossed := one.Member.Name, !pki.SelfSigned(authority.Signer())
	for _, part := range authority.Parts() {
		sha := pki.Short(pki.Fingerprint(part.Cert))
		switch {
		case part.Role == pki.PartCross, part.Role == pki.PartRoot && crossed:
			add("%s: secret %s contains cross certificates for other CAs, and a rotation would remove them. %s", name, pki.SecretCA, federation)
		case part.Role == pki.PartIssuer && m.method == Cross:
			add("%s: secret %s also contains the CA that signed its first certificate (SHA-256 %s). CA files may contain only that one, and do not verify a cross certificate that the first one signs. %s", name, pki.SecretCA, sha, m.instead())
		case part.Role == pki.PartOther:
			add("%s: secret %s also contains another CA (SHA-256 %s), and a rotation would remove it. %s. If no other cluster has this CA, remove its certificate from the Secret", name, pki.SecretCA, sha, federation)
		}
	}
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
			add("%s", one.immutable(spec.Secret))
		}
		leaf, err := pki.ParseLeaf(secret.Object.Data)
		switch {
		case err != nil && m.method == Emergency: // reissue needs the CA that may be lost
			add("%s: secret %s: %v. Delete the Secret first; its owner creates it again after the rotation, see kubectl mesh-ca status", name, spec.Secret, err)
			continue
		case (err != nil || leaf.TrustNote != "") && m.method != Emergency: // an emergency writes the CA file, whatever it contained
			add("%s: secret %s: %s. Re-issue it first: kubectl mesh-ca reissue", name, spec.Secret, cmp.Or(errText(err), leaf.TrustNote))
			continue
		}
		if m.old.Cert != nil && !leaf.SignedBy(m.old.Cert) && m.method != Emergency && !m.apart(one) {
			add("%s: the certificate in secret %s is not signed by the CA in secret %s: re-issue it first, see kubectl mesh-ca status", name, spec.Secret, pki.SecretCA)
		}
	}
	for _, why := range one.Untimed() { // a gate would wait for ever
		add("%s: %s", name, why)
	}
	switch o := one.owner(); {
	case o.Kind == pki.OwnerCertManager:
		add("%s: cert-manager issues the leaf certificates: rotate the CA of its issuer, which then re-issues them", name)
	case o.Reconciles() && !c.ForceConflicts:
		add("%s: the leaf certificates are %s; suspend it for the rotation and use --force-conflicts", name, o.Kept())
	}
	switch o := pki.FindOwner(one.CA().Object.ObjectMeta, c.Manager); {
	case !o.Reconciles() || c.ForceConflicts:
	case o.Kind == pki.OwnerCertManager && one.owner().Kind == pki.OwnerCertManager: // its issuer is to be rotated
	case o.Kind == pki.OwnerCertManager:
		add("%s: secret %s is %s. cert-manager cannot be suspended for one Certificate: delete the Certificate, keep the Secret, and use --force-conflicts", name, pki.SecretCA, o.Kept())
	default:
		add("%s: secret %s is %s; suspend it for the rotation and use --force-conflicts", name, pki.SecretCA, o.Kept())
	}
}

// apart reports whether a cluster has another CA than the one that is to be replaced.
func (m *mesh) apart(one *cluster) bool {
	secret := one.CA()
	if m.old.Cert == nil || secret.Object == nil {
		return false
	}
	authority, err := pki.ParseCA(secret.Object.Data)
	return err == nil && !authority.Signer().Equal(m.old.Cert)
}

// immutable says that a Secret is immutable, and how to replace it.
func (c *cluster) immutable(secret string) string {
	return fmt.Sprintf("%s: secret %s is immutable. Replace it with a mutable copy: save it with kubectl get -o yaml, remove \"immutable: true\", then run kubectl replace --force", c.Member.Name, secret)
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

// unbegun adds what was written to the error of a phase that could not be planned.
func (r *run) unbegun(err error) error {
	if len(r.report.Changes) == 0 {
		return r.unwritten(err)
	}
	return ca.Unbegun(err)
}

// unwritten adds "nothing was written" to the error of a command that can write.
func (r *run) unwritten(err error) error {
	const nothing = "nothing was written"
	if r.Action == Plan || r.Action == Status || strings.Contains(err.Error(), nothing) {
		return err
	}
	return fmt.Errorf("%w; %s", err, nothing)
}
