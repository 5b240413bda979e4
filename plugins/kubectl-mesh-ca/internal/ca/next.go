package ca

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// stale is a leaf Secret that no longer belongs to the CA, or that must be renewed for another reason.
type stale struct {
	spec  pki.LeafSpec
	owner pki.Owner
	// worn: the certificate belongs to the CA, but ends or is wrong by itself. A renewal then changes nothing that is trusted.
	worn bool
	// ends: the CA signed the certificate and its ca.crt contains the CA, but ends before the CA: the CA was issued again under its key.
	ends bool
	// gone: the Secret does not exist (see readDeleted). It is worn too.
	gone bool
	// foreign: another PKI issues the certificate on purpose (see spoiled), which cilium-ca cannot do. It is worn too.
	foreign bool
}

// ours reports whether the CA signed the certificate, and its ca.crt contains it.
func (l stale) ours() bool { return l.worn || l.ends }

// staleCertificates lists the leaf certificates that a CA did not sign, or whose ca.crt does not contain it until it ends, and those that are
// missing after a command deleted them.
func (s *State) staleCertificates(signer *x509.Certificate) []stale {
	var out []stale
	for _, spec := range pki.LeafSpecs() {
		secret := s.Secrets[spec.Secret]
		if secret.Object == nil {
			if owner, deleted := s.Deleted[spec.Secret]; deleted {
				out = append(out, stale{spec: spec, owner: owner, worn: true, gone: true})
			}
			continue
		}
		owner := pki.FindOwner(secret.Object.ObjectMeta)
		leaf, err := pki.ParseLeaf(secret.Object.Data)
		belongs := err == nil && leaf.SignedBy(signer) && pki.Trusts(leaf.Trust, signer)
		file := pki.Source{Ref: pki.Ref{Kind: pki.Secret, Name: spec.Secret}, Key: pki.KeyCACert}
		if belongs && (!s.Side.Mounts(file) || s.outlasts(leaf.Trust, s.fileOwner(owner), signer)) {
			continue
		}
		out = append(out, stale{spec: spec, owner: owner, ends: belongs})
	}
	return out
}

// Next returns the steps after which the leaf certificates of a cluster belong to its CA, with the exact commands. It returns nothing if they already do. now makes
// the names of Jobs unique.
//
// The order matters: Hubble's Secrets are deleted before the Helm upgrade that recreates them, and etcd is restarted last, because it reads its CA
// file only at start (etcd issue 11555), while it reads certificates again at every connection.
func Next(s *State, signer *x509.Certificate, now time.Time) []v1alpha1.NextStep {
	if signer == nil {
		return nil
	}
	return plain(s.renew(signer, s.staleCertificates(signer), now))
}

// renew returns the steps after which leaf certificates are renewed by what issues them, and after which etcd uses the CA.
func (s *State) renew(signer *x509.Certificate, leaves []stale, now time.Time) []Step {
	replaced := slices.ContainsFunc(leaves, func(l stale) bool { return !l.worn })
	ends := s.bundleEnds(signer)
	n := &steps{state: s, signer: signer, now: now}
	switch {
	case len(leaves) == 0 && ends: // a person changes the bundle first, so that no command restarts anything
		n.bundles(nil)
		if s.Side.MeshAPI != nil {
			n.add("etcd reads its CA file only at start", nil, s.restart())
		}
		return n.out
	case len(leaves) == 0:
		if s.etcdStale() != "" {
			n.do(Action{Kind: ActRestart}, "etcd reads its CA file only at start, and has not read it since it was written", nil, s.restart())
		}
		return n.out
	case replaced || ends:
		n.bundles(leaves)
	}
	byOwner := map[pki.OwnerKind][]stale{}
	var kinds []pki.OwnerKind
	for _, l := range leaves {
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
		case pki.OwnerFlux:
			n.flux(byOwner[kind])
		default:
			isForeign := func(l stale) bool { return l.foreign }
			isOwn := func(l stale) bool { return !l.foreign }
			n.byHand(slices.DeleteFunc(slices.Clone(byOwner[kind]), isForeign))
			n.byHand(slices.DeleteFunc(slices.Clone(byOwner[kind]), isOwn))
		}
	}
	if s.Side.MeshAPI != nil && (ends || slices.ContainsFunc(leaves, func(l stale) bool { return l.spec.Family == pki.FamilyMesh && !l.worn })) {
		n.do(Action{Kind: ActRestart}, "etcd reads its CA file only at start", nil, s.restart())
	}
	return n.out
}

// agentsAfter returns the step that makes the agents of a cluster use the CA that etcd uses after the steps. An agent reads its CA file when it
// builds its client, and builds another one when it connects to another etcd. But the new etcd shows it a leaf certificate of the new CA, which an
// agent that never was connected, or lost its connection, refuses: it keeps what it has read for 15 minutes (initialConnectionTimeout in
// pkg/clustermesh/common; seen with Cilium 1.20.2). It must come last: an agent that starts while KVStoreMesh is not connected removes the other
// clusters' backends after a minute.
func (s *State) agentsAfter(steps []v1alpha1.NextStep) []v1alpha1.NextStep {
	if !slices.ContainsFunc(steps, func(n v1alpha1.NextStep) bool { return n.Command == s.restart() }) {
		return nil
	}
	return []v1alpha1.NextStep{{
		Cluster: s.Member.Name, AfterAll: true,
		Reason:  "agents may keep the previous CA for up to 15 minutes, and stay disconnected without an error",
		Command: s.RestartAgents(),
	}}
}

// steps collects the steps of one cluster.
type steps struct {
	state  *State
	signer *x509.Certificate
	now    time.Time
	out    []Step
	// bundleFile is the file that the next upgrade must take as tls.caBundle.content; empty if the values do not set it, or it is settled.
	bundleFile string
}

// add adds a step that only a person or another tool can do.
func (n *steps) add(why string, objects []string, command string) {
	n.do(Action{}, why, objects, command)
}

// do adds a step, and what a command can do for it.
func (n *steps) do(a Action, why string, objects []string, command string) {
	n.out = append(n.out, Step{v1alpha1.NextStep{Cluster: n.state.Member.Name, Reason: why, Objects: objects, Command: command}, a})
}

func (n *steps) kubectl(words ...string) string { return n.state.kubectl(words...) }

// helm: the upgrade signs the mesh's leaf certificates again. From chart 1.18.0-pre.1 on it keeps tls.crt and tls.key of the two Hubble Secrets and replaces
// their ca.crt (templates/hubble/tls-helm, cilium pull request 38355), so these are deleted first.
func (n *steps) helm(leaves []stale) {
	n.dropHubble(leaves)
	n.upgrade("the upgrade signs the leaf certificates again", names(leaves), release(leaves, n.state))
}

// dropHubble deletes the leaf certificates that Helm would keep, whoever runs Helm.
func (n *steps) dropHubble(leaves []stale) {
	v := n.state.Member.Version
	var kept []string
	for _, l := range leaves {
		if !l.gone && slices.Contains(keptByHelm(), l.spec.Secret) {
			kept = append(kept, l.spec.Secret)
		}
	}
	if len(kept) > 0 && (!v.Known() || v.Major > 1 || v.Minor >= 18) {
		n.do(Action{Kind: ActDelete, Names: kept}, "Helm keeps these leaf certificates and would only replace their ca.crt (chart 1.18 and later)", objects(kept), n.kubectl(append([]string{"delete", "secret"}, kept...)...))
	}
}

// upgrade adds the step in which Helm runs again, with the version and the values of the release, with the tool that installed it.
func (n *steps) upgrade(why string, objects []string, r Release) {
	chart := n.state.Chart
	switch {
	case !r.Known():
		n.add(why+": no Helm release is known here; render and apply the manifests again", objects, "")
		return
	case chart.Controller:
		if n.state.Release.Known() { // leaf certificates may have marks of a previous installation
			r = n.state.Release
		}
		config := "HelmChartConfig " + r.Name
		n.bundleByHand(config)
		n.add(fmt.Sprintf("%s: the Helm controller of RKE2 or K3s keeps release %s (chart %s). Change %s in namespace kube-system, and the controller runs Helm again; any other upgrade would not last",
			why, r.Name, cmp.Or(chart.String(), "unknown"), config), append(slices.Clone(objects), "helmchartconfig/"+r.Name), "")
		return
	}
	if k := n.state.Member.Keeper; k != nil {
		n.bundleByHand(k.Where())
		n.add(fmt.Sprintf("%s: run it from %s. A separate upgrade with helm would not last: %s", why, k.Where(), k.Because()), objects, "")
		return
	}
	words := []string{"upgrade", r.Name}
	if chart.Official {
		words = append(words, chart.Name, "--repo", owners.OfficialRepository)
		why += fmt.Sprintf(" (chart %s, according to %s)", chart, chart.Mark)
	} else {
		words = append(words, "CHART")
		what := "no object in this cluster names the chart of release " + r.Name
		if chart.Name != "" {
			what = fmt.Sprintf("release %s uses chart %s, according to %s", r.Name, chart, chart.Mark)
		}
		why += fmt.Sprintf(" (%s: replace CHART with the chart that you installed, with its repository or OCI address)", what)
	}
	if v := cmp.Or(chart.Version, versionOf(n.state)); v != "" {
		words = append(words, "--version", v)
	}
	words = append(words, "--reuse-values")
	if n.state.helmConflicts() {
		words = append(words, flagForceConflicts)
	}
	bundle := n.bundleFlags()
	words = append(words, bundle...)
	if v := n.state.Values; !v.Known || v.SetsCA {
		// Empty values are the chart's default: Helm then keeps the CA that is in the cluster.
		words = append(words, "--set", v.Prefix+"tls.ca.cert=", "--set", v.Prefix+"tls.ca.key=")
	}
	a := Action{}
	if chart.Official && len(bundle) == 0 { // else a person must name the chart, or write a file first
		a.Kind = ActHelm
		a.Helm, a.Env = n.state.helmCommand(r.Namespace, words...)
	}
	n.do(a, why, objects, n.state.tool("helm", r.Namespace, words...))
}

func versionOf(s *State) string {
	if s.Member.Version.Known() {
		return s.Member.Version.String()
	}
	return ""
}

// release returns the Helm release that owns the leaf certificates, otherwise the release that installed Cilium.
func release(leaves []stale, s *State) Release {
	for _, l := range leaves {
		if l.owner.Kind == pki.OwnerHelm && l.owner.Name != "" && !l.gone {
			m := s.Secrets[l.spec.Secret].Object
			return Release{Name: l.owner.Name, Namespace: cmp.Or(m.Annotations[pki.AnnotationReleaseNamespace], s.Namespace)}
		}
	}
	return s.Release
}

// certgen: a Job from the CronJob. The CronJob for the mesh exists only with a schedule, which has no default before chart 1.20. Without it an upgrade recreates
// the one-shot Job: up to 1.18 it is a Helm hook; from 1.19 on, the name of the Job depends only on its spec, so the old Job must be deleted first.
func (n *steps) certgen(leaves []stale) {
	for _, f := range []struct {
		family pki.Family
		job    string
	}{{pki.FamilyMesh, cronJobMesh}, {pki.FamilyHubble, cronJobHubble}} {
		mine := slices.DeleteFunc(slices.Clone(leaves), func(l stale) bool { return l.spec.Family != f.family })
		if len(mine) == 0 {
			continue
		}
		if slices.Contains(n.state.CronJobs, f.job) {
			job := n.jobName(f.family)
			n.do(Action{Kind: ActCertgen, CronJob: f.job, Job: job}, "certgen signs the leaf certificates again", names(mine), n.kubectl("create", "job", "--from=cronjob/"+f.job, job))
			// The next step must not run before: a process that restarts earlier reads the former certificates.
			n.do(Action{Kind: ActAwait, Job: job}, "wait until certgen is done", nil, n.kubectl("wait", "--for=condition=complete", "job/"+job, "--timeout="+jobTimeout))
			continue
		}
		v := n.state.Member.Version
		if !v.Known() || v.Major > 1 || v.Minor >= 19 {
			n.do(Action{Kind: ActDeleteJobs, Selector: "k8s-app=" + f.job}, "no CronJob was found, and an upgrade runs certgen again only when its Job is gone (chart 1.19 and later)", nil, n.kubectl("delete", "job", "-l", "k8s-app="+f.job))
		}
		n.upgrade("no CronJob "+f.job+" was found; the upgrade runs certgen again, which signs the leaf certificates again", names(mine), release(nil, n.state))
	}
}

// jobTimeout is how long the printed command waits for certgen, which takes seconds once its image is there.
const jobTimeout = "5m"

// jobName returns a name that no earlier Job has, because the step may be repeated with the same CA.
func (n *steps) jobName(family pki.Family) string {
	const base36 = 36
	return fmt.Sprintf("mesh-ca-%s-%s-%s", family, pki.Short(pki.Fingerprint(n.signer)), strconv.FormatInt(n.now.UnixMilli(), base36))
}

// certManager: the issuer signs the leaf certificates; it uses cilium-ca only if it is configured so.
func (n *steps) certManager(leaves []stale) {
	var certificates []string
	for _, l := range leaves {
		certificates = append(certificates, cmp.Or(l.owner.Name, l.spec.Secret))
	}
	words := append([]string{"renew"}, certificates...)
	why := "cert-manager signs these with its issuer, not with cilium-ca: give the CA to the issuer (certManagerIssuerRef in Cilium's values), then renew"
	if allOurs(leaves) {
		why = "cert-manager issues these certificates again"
	}
	n.do(Action{Kind: ActRenew, Names: certificates}, why, names(leaves), n.state.tool("cmctl", n.state.Namespace, words...))
}

// byHand handles leaf certificates that none of the tools above issues: all of them are foreign, or none is.
func (n *steps) byHand(leaves []stale) {
	if len(leaves) == 0 {
		return
	}
	a := Action{}
	if signedHere(leaves[0].owner) && !leaves[0].foreign {
		a = Action{Kind: ActSign, Names: secrets(leaves)}
	}
	if allOurs(leaves) {
		n.do(a, fmt.Sprintf("managed by %s: issue new certificates at their source; the findings say what is wrong with the present ones", leaves[0].owner), names(leaves), "")
		return
	}
	n.do(a, fmt.Sprintf("managed by %s: issue new certificates from the new CA at their source, with the same names and usages", leaves[0].owner), names(leaves), "")
}

// allOurs reports whether all leaf certificates belong to the CA.
func allOurs(leaves []stale) bool {
	return !slices.ContainsFunc(leaves, func(l stale) bool { return !l.ours() })
}

func names(leaves []stale) []string { return objects(secrets(leaves)) }

func secrets(leaves []stale) []string {
	out := make([]string, len(leaves))
	for i, l := range leaves {
		out[i] = l.spec.Secret
	}
	return out
}

func objects(secrets []string) []string {
	out := make([]string, len(secrets))
	for i, s := range secrets {
		out[i] = "secret/" + s
	}
	return out
}
