package ca

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// stale is a leaf Secret that does not belong to the CA any more.
type stale struct {
	spec  pki.LeafSpec
	owner pki.Owner
}

// staleLeafs lists the leafs that are not signed by a CA, or whose ca.crt does not have it.
func (s *State) staleLeafs(signer *x509.Certificate) []stale {
	var out []stale
	for _, spec := range pki.LeafSpecs() {
		secret := s.Secrets[spec.Secret]
		if secret.Object == nil {
			continue
		}
		leaf, err := pki.ParseLeaf(secret.Object.Data)
		if err == nil && leaf.SignedBy(signer) && trusts(leaf, signer) {
			continue
		}
		out = append(out, stale{spec: spec, owner: pki.FindOwner(secret.Object.ObjectMeta)})
	}
	return out
}

// trusts reports whether a leaf Secret's own ca.crt would verify leafs of a CA: it holds that key, or a certificate above it.
func trusts(l pki.Leaf, signer *x509.Certificate) bool { return trustedBy(l.Trust, signer) }

func trustedBy(roots []*x509.Certificate, signer *x509.Certificate) bool {
	return slices.ContainsFunc(roots, func(c *x509.Certificate) bool {
		return pki.SPKIHash(c) == pki.SPKIHash(signer) || signer.CheckSignatureFrom(c) == nil
	})
}

// Next are the steps after which the leafs of a cluster belong to its CA, with the exact commands. Nothing when they do already.
//
// The order matters: Hubble's Secrets are deleted before the Helm upgrade that makes them anew, and etcd is restarted last, because it reads its CA
// file at start only (etcd issue 11555) while certificates are read again at every connection.
func Next(s *State, signer *x509.Certificate) []v1alpha1.NextStep {
	if signer == nil {
		return nil
	}
	leafs := s.staleLeafs(signer)
	n := &steps{state: s, signer: signer}
	_, etcdIsStale := s.etcdIsStale()
	if len(leafs) == 0 {
		if etcdIsStale {
			n.add("etcd reads its CA file at start only, and has not read it since it was written", nil, s.restart())
		}
		return n.out
	}
	n.bundles()
	byOwner := map[pki.OwnerKind][]stale{}
	var kinds []pki.OwnerKind
	for _, l := range leafs {
		kind := l.owner.Kind
		if byOwner[kind] == nil {
			kinds = append(kinds, kind)
		}
		byOwner[kind] = append(byOwner[kind], l)
	}
	for _, kind := range kinds {
		switch kind {
		case pki.OwnerHelm:
			n.helm(byOwner[kind])
		case pki.OwnerCertgen:
			n.certgen(byOwner[kind])
		case pki.OwnerCertManager:
			n.certManager(byOwner[kind])
		default:
			n.byHand(byOwner[kind])
		}
	}
	if s.Side.MeshAPI != nil && slices.ContainsFunc(leafs, func(l stale) bool { return l.spec.Family == pki.FamilyMesh }) {
		n.add("etcd reads its CA file at start only", nil, s.restart())
	}
	return n.out
}

// steps collects the steps of one cluster.
type steps struct {
	state  *State
	signer *x509.Certificate
	out    []v1alpha1.NextStep
}

func (n *steps) add(why string, objects []string, command string) {
	n.out = append(n.out, v1alpha1.NextStep{Cluster: n.state.Member.Name, Why: why, Objects: objects, Command: command})
}

func (n *steps) kubectl(args string) string { return n.state.kubectl(args) }

// kubectl is a command for Cilium's namespace of a cluster.
func (s *State) kubectl(args string) string {
	return fmt.Sprintf("kubectl %s -n %s %s", s.Member.At("--context"), s.Namespace, args)
}

// bundles: where processes mount a bundle, the new CA must be in it before a leaf of it is presented anywhere.
func (n *steps) bundles() {
	for _, b := range n.state.Side.Bundles() {
		if trustedBy(b.Certs, n.signer) {
			continue
		}
		n.add(fmt.Sprintf("processes trust %s instead of the leafs' ca.crt (Helm's tls.caBundle): add the new CA to it in every cluster first, then restart deployment/%s", b.Source, cilium.DeploymentMeshAPI),
			[]string{b.Source.Ref.String()}, "")
	}
}

// helm: the upgrade signs the mesh's leafs anew. From chart 1.18.0-pre.1 it keeps tls.crt and tls.key of the two Hubble Secrets and gives them the new
// ca.crt (templates/hubble/tls-helm, cilium pull request 38355), so these go first.
func (n *steps) helm(leafs []stale) {
	v := n.state.Member.Version
	var kept []string
	for _, l := range leafs {
		if l.spec.Secret == pki.SecretHubbleServer || l.spec.Secret == pki.SecretHubbleRelay {
			kept = append(kept, l.spec.Secret)
		}
	}
	if len(kept) > 0 && (!v.Known() || v.Major > 1 || v.Minor >= 18) {
		n.add("Helm keeps these leafs and would only give them the new ca.crt (chart 1.18 and later)", objects(kept), n.kubectl("delete secret "+strings.Join(kept, " ")))
	}
	n.add("the upgrade signs the leafs anew", names(leafs), n.helmUpgrade(release(leafs, n.state)))
}

// helmUpgrade is the upgrade to the version that runs, with the values that it has.
func (n *steps) helmUpgrade(r Release) string {
	v := ""
	if n.state.Member.Version.Known() {
		v = " --version " + n.state.Member.Version.String()
	}
	return fmt.Sprintf("helm %s -n %s upgrade %s cilium/cilium%s --reuse-values", n.state.Member.At("--kube-context"), r.Namespace, r.Name, v)
}

// release is the Helm release that owns the leafs, else the one that installed Cilium, else the usual one.
func release(leafs []stale, s *State) Release {
	for _, l := range leafs {
		if l.owner.Kind == pki.OwnerHelm && l.owner.Name != "" {
			m := s.Secrets[l.spec.Secret].Object
			return Release{Name: l.owner.Name, Namespace: cmp.Or(m.Annotations[pki.AnnotationReleaseNamespace], s.Namespace)}
		}
	}
	if s.Release.Known() {
		return s.Release
	}
	return Release{Name: "cilium", Namespace: s.Namespace}
}

// certgen: a Job from the CronJob. The mesh's exists only with a schedule, which has no default before chart 1.20; without it the one-shot Job is made
// again by an upgrade: up to 1.18 it is a Helm hook, from 1.19 a Job whose name depends on its spec alone, so that the old one must go first.
func (n *steps) certgen(leafs []stale) {
	for _, f := range []struct {
		family pki.Family
		job    string
	}{{pki.FamilyMesh, cronJobMesh}, {pki.FamilyHubble, cronJobHubble}} {
		mine := slices.DeleteFunc(slices.Clone(leafs), func(l stale) bool { return l.spec.Family != f.family })
		if len(mine) == 0 {
			continue
		}
		if slices.Contains(n.state.CronJobs, f.job) {
			n.add("certgen signs the leafs anew", names(mine), n.kubectl(fmt.Sprintf("create job --from=cronjob/%s mesh-ca-%s-%s", f.job, f.family, pki.Short(pki.Fingerprint(n.signer)))))
			continue
		}
		v := n.state.Member.Version
		if !v.Known() || v.Major > 1 || v.Minor >= 19 {
			n.add("no CronJob was found, and an upgrade runs certgen again only when its Job is gone (chart 1.19 and later)", nil, n.kubectl("delete job -l k8s-app="+f.job))
		}
		n.add("no CronJob "+f.job+" was found; the upgrade runs certgen again, which signs the leafs anew", names(mine), n.helmUpgrade(release(nil, n.state)))
	}
}

// certManager: the leafs follow their issuer, and cilium-ca only if the issuer uses it.
func (n *steps) certManager(leafs []stale) {
	var certs []string
	for _, l := range leafs {
		certs = append(certs, cmp.Or(l.owner.Name, l.spec.Secret))
	}
	n.add("cert-manager signs these with its issuer, whatever is in cilium-ca: give the issuer the CA (certManagerIssuerRef in Cilium's values), then renew", names(leafs),
		fmt.Sprintf("cmctl %s -n %s renew %s", n.state.Member.At("--context"), n.state.Namespace, strings.Join(certs, " ")))
}

func (n *steps) byHand(leafs []stale) {
	n.add(fmt.Sprintf("kept by %s: make new certificates of the new CA where these come from, with the names and usages they have", leafs[0].owner), names(leafs), "")
}

func names(leafs []stale) []string {
	secrets := make([]string, len(leafs))
	for i, l := range leafs {
		secrets[i] = l.spec.Secret
	}
	return objects(secrets)
}

func objects(secrets []string) []string {
	out := make([]string, len(secrets))
	for i, s := range secrets {
		out[i] = "secret/" + s
	}
	return out
}
