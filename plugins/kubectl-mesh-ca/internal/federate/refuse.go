package federate

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// errRefused says that nothing can be done as things are.
var errRefused = errors.New("it is not possible as things are; nothing was written")

// refusal collects the reasons.
type refusal struct{ why []string }

func (r *refusal) add(format string, args ...any) {
	r.why = append(r.why, fmt.Sprintf(format, args...))
}

// check returns the reasons against what a command is going to do, all at once.
func (c Config) check(m *mesh) error {
	r := &refusal{}
	for _, one := range m.scope {
		_, wrong := rotate.Clocks([]*clusters.Member{one.Member})
		r.why = append(r.why, wrong...)
		c.checkCluster(m, one, r)
	}
	if m.off {
		c.checkOff(m, r)
	}
	if len(r.why) == 0 {
		return nil
	}
	slices.Sort(r.why)
	return fmt.Errorf("%w: %s", errRefused, strings.Join(slices.Compact(r.why), "; "))
}

func (c Config) checkCluster(m *mesh, one *cluster, r *refusal) {
	name := one.Member.Name
	secret := one.CA()
	if one.rotating {
		r.add("%s: a rotation of the CA is under way; end it first with: kubectl mesh-ca rotate finish, or abort", name)
	}
	switch {
	case secret.Unreadable != "":
		r.add("%s: secret %s: %s", name, pki.SecretCA, secret.Unreadable)
	case secret.Object == nil:
		r.add("%s: secret %s does not exist", name, pki.SecretCA)
	case len(one.authority.Chain) == 0:
		r.add("%s: secret %s does not contain a certificate that can be read", name, pki.SecretCA)
	default:
		c.checkAuthority(m, one, r)
	}
	if !m.off && one.meshAPI == nil {
		r.add("%s: deployment clustermesh-apiserver does not exist: enable Cluster Mesh in this cluster first", name)
	}
	if _, ok := one.Side.MeshAPI.Container("etcd"); one.Side.MeshAPI != nil && !ok {
		r.add("%s: clustermesh-apiserver has no etcd of its own (an external kvstore): its certificates are not in these Secrets", name)
	}
	for _, b := range one.Side.Bundles() {
		if m.recipe == Roots {
			r.add("%s: processes trust %s instead of the ca.crt of the leaf certificates (tls.caBundle): add the CAs of the other clusters to that object, or remove tls.caBundle", name, b.Source)
		}
	}
	if m.recipe == Roots && c.Wait > 0 { // only this recipe waits until CA files are loaded
		for _, why := range one.Untimed() { // a restart would not make it known
			r.add("%s: %s", name, why)
		}
	}
	c.checkLeafSecrets(m, one, r)
}

// checkAuthority adds the reasons that concern the CA of a cluster.
func (c Config) checkAuthority(m *mesh, one *cluster, r *refusal) {
	name, secret := one.Member.Name, one.CA().Object
	chains, trust, _ := m.missingIn(one) // its error is that of a CA that cannot sign, which is reported below
	_, writes := find(slices.Concat(chains, trust), pki.SecretCA)
	c.checkOwner(one, secret, writes, r)
	if m.off {
		return
	}
	cert := one.own.Cert
	if one.keyNote != "" {
		r.add("%s: the CA in secret %s cannot sign: %s", name, pki.SecretCA, one.keyNote)
	} else if err := pki.CanCrossSign(cert, m.at); err != nil {
		r.add("%s: the CA (SHA-256 %s) cannot sign the CAs of other clusters: %v. Give the clusters one CA instead (kubectl mesh-ca sync), or a new one", name, pki.Short(pki.Fingerprint(cert)), err)
	}
	if m.recipe == Files {
		return
	}
	for _, part := range one.authority.Parts() {
		if one.issuer == Certgen && (part.Role == pki.PartOther || part.Role == pki.PartIssuer) {
			r.add("%s: secret %s contains another CA (SHA-256 %s): certgen would write only the last certificate as CA file. Remove it first", name, pki.SecretCA, pki.Short(pki.Fingerprint(part.Cert)))
		}
	}
	c.checkCertgen(m, one, r)
	if one.issuer == Helm && one.Values.SetsCA && !c.ForceConflicts {
		r.add("%s: the values of release %s set %stls.ca.cert and %stls.ca.key, so that the next upgrade removes the CAs of the other clusters. Remove these values, or use --force-conflicts", name, one.Release.Name, one.Values.Prefix, one.Values.Prefix)
	}
}

// checkCertgen: certgen of charts from 1.20 checks the end of every certificate of cilium-ca. A cross certificate ends with the first of its two CAs.
func (Config) checkCertgen(m *mesh, one *cluster, r *refusal) {
	if err := one.CertgenChains(); err != nil && one.issuer == Certgen {
		r.add("%s: cross certificates are written into secret %s, and only %v. Upgrade Cilium's chart, set certgen.image.tag to a known version, or use --files-only", one.Member.Name, pki.SecretCA, err)
	}
	for _, config := range one.Certgen {
		for _, a := range m.authorities {
			if at, ok := config.Refuses([]*x509.Certificate{one.own.Cert, a.Cert}); ok && m.at.After(at) {
				r.add("%s: since %s certgen would not sign with a file that contains a certificate of the CA %s, because that ends before the leaf certificates. Give its cluster a new CA first",
					one.Member.Name, at.UTC().Format(time.DateOnly), pki.Short(pki.Fingerprint(a.Cert)))
			}
		}
	}
}

// checkOwner refuses to write an object that its owner would overwrite.
func (c Config) checkOwner(one *cluster, secret *corev1.Secret, writes bool, r *refusal) {
	name := one.Member.Name
	owner := c.leafOwner(secret)
	switch {
	case writes && secret.Immutable != nil && *secret.Immutable:
		r.add("%s: secret %s is immutable", name, secret.Name)
	case owner.Kind == pki.OwnerCertManager && secret.Name != pki.SecretCA:
		r.add("%s: secret %s is managed by cert-manager (%s), which writes it again without the certificates of other CAs. Give all issuers one CA instead", name, secret.Name, owner.Mark)
	case writes && owner.Reconciles() && owner.Kind != pki.OwnerCertManager && !c.ForceConflicts:
		r.add("%s: secret %s is %s. Change it there, or suspend that and use --force-conflicts", name, secret.Name, owner.Kept())
	}
}

// checkLeafSecrets adds the reasons that concern the leaf Secrets of a cluster.
func (c Config) checkLeafSecrets(m *mesh, one *cluster, r *refusal) {
	name := one.Member.Name
	chains, trust, _ := m.missingIn(one)
	for _, spec := range pki.LeafSpecs() {
		secret := one.Secrets[spec.Secret]
		switch {
		case secret.Unreadable != "":
			r.add("%s: secret %s: %s", name, spec.Secret, secret.Unreadable)
			continue
		case secret.Object == nil:
			continue
		}
		_, writes := find(slices.Concat(chains, trust), spec.Secret)
		c.checkOwner(one, secret.Object, writes || !m.off, r)
		leaf, err := pki.ParseLeaf(secret.Object.Data)
		switch {
		case m.off && err != nil:
		case err != nil || leaf.TrustNote != "":
			r.add("%s: secret %s: %s", name, spec.Secret, cmp.Or(errText(err), leaf.TrustNote))
		case m.off:
		case leaf.Key != pki.KeyMatches:
			r.add("%s: secret %s: %s", name, spec.Secret, leaf.KeyNote)
		default:
			c.checkSigner(m, one, spec.Secret, leaf, r)
		}
	}
}

// checkSigner: a federation needs leaf certificates of the cluster's own CA; a repair those of any CA whose key is there.
func (c Config) checkSigner(m *mesh, one *cluster, secret string, leaf pki.Leaf, r *refusal) {
	name := one.Member.Name
	if c.Action == Repair {
		if _, ok := m.signerOf(leaf); !ok {
			r.add("%s: no cluster has the CA that signed the certificate in secret %s, neither in secret %s nor in a backup: issue it again", name, secret, pki.SecretCA)
		}
		return
	}
	if one.own.Cert == nil {
		return
	}
	if (pki.Leaf{Chain: leaf.Chain[:1]}).Relation(one.own.Cert) != pki.Direct {
		r.add("%s: the certificate in secret %s is not signed by the CA in secret %s: issue it again first (kubectl mesh-ca reissue --all), or run: kubectl mesh-ca rotate repair", name, secret, pki.SecretCA)
	}
	if !pki.Trusts(leaf.Trust, one.own.Cert) {
		r.add("%s: the CA file in secret %s does not contain the CA in secret %s: issue it again first, see kubectl mesh-ca status", name, secret, pki.SecretCA)
	}
}

// checkOff refuses to disconnect clusters unless that was asked for, to judge clusters that were not read, and to leave a cluster with a CA file that does not
// verify its own leaf certificates, or with an empty one, which no pod could mount.
func (c Config) checkOff(m *mesh, r *refusal) {
	read := map[string]bool{}
	members := make([]*clusters.Member, len(m.all))
	for n, one := range m.all {
		read[one.Member.Name], members[n] = true, one.Member
	}
	for _, one := range m.scope {
		for secret, leaf := range one.LeafCertificates() {
			if m.orphans(one, leaf) {
				r.add("%s: the CA of another cluster signed the certificate in secret %s, and its CA file would not contain that CA any more: issue it again first, with: %s", one.Member.Name, secret,
					ca.Command(members, "reissue", "--all", "--in", one.Member.Name)) // without --all it leaves a certificate whose cross certificate its own CA signed
			}
		}
		for peer := range one.Side.Peers {
			other := m.cluster(peer)
			switch {
			case !read[peer]:
				r.add("%s has the peer %s, which was not read: name all clusters of the mesh with --contexts", one.Member.Name, peer)
			case other != nil && !pki.SameAuthority(other.own.Cert, one.own.Cert) && !c.AllowDisconnect:
				r.add("%s is connected to %s, and this would disconnect them: disconnect them first, or use --allow-disconnect", one.Member.Name, peer)
			}
		}
	}
}

// orphans reports whether a CA file verifies the certificate beside it, and does not do so any more when the CAs of the other clusters are removed.
func (m *mesh) orphans(c *cluster, leaf pki.Leaf) bool {
	then := leaf
	if signer, ok := m.signerOf(leaf); ok {
		rest, err := m.withCrosses(leaf.Chain[1:], signer)
		if err != nil {
			return false // nothing is signed when clusters are separated
		}
		then.Chain = append([]*x509.Certificate{leaf.Cert()}, rest...)
	}
	return slices.ContainsFunc(leaf.Trust, leaf.SignedBy) && !slices.ContainsFunc(m.withRoots(leaf.Trust, c.own.Cert), then.SignedBy)
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// unbegun adds what was written to the error of a phase that could not be planned.
func (r *run) unbegun(err error) error {
	if !r.wrote {
		return fmt.Errorf("%w; nothing was written", err)
	}
	return ca.Unbegun(err)
}
