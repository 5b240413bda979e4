package ca

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// warnBefore is how long before its end a certificate is worth a warning.
const warnBefore = 60 * 24 * time.Hour

// The rules. An id never changes its meaning.
var (
	ruleCAMissing = finding.Rule{ID: "CA001", Severity: finding.Warning, Title: "no readable CA",
		Why: "Secret cilium-ca signs the leafs with the Helm and cronJob methods. With cert-manager or certificates of one's own it may be absent."}
	ruleCAKey = finding.Rule{ID: "CA002", Severity: finding.Error, Title: "the CA's key does not fit",
		Why: "Helm and certgen sign with ca.key and publish ca.crt: leafs that are made now verify nowhere."}
	ruleCAExpired = finding.Rule{ID: "CA003", Severity: finding.Error, Title: "the CA is outside its validity",
		Why: "Neither Helm nor certgen renews a CA; certgen from v0.4.0 refuses to sign with an expired one, so leafs silently stop being renewed."}
	ruleCAEnds = finding.Rule{ID: "CA004", Severity: finding.Warning, Title: "the CA expires soon",
		Why: "Neither Helm nor certgen renews a CA."}
	ruleCANotCA = finding.Rule{ID: "CA005", Severity: finding.Error, Title: "cilium-ca is not a CA",
		Why: "A certificate without basic constraints CA:TRUE, or whose key usage leaves certSign out, cannot sign leafs."}
	ruleCAChain = finding.Rule{ID: "CA006", Severity: finding.Warning, Title: "several certificates in cilium-ca",
		Why: "It is a chain and not a bundle: certgen from v0.3.1 signs with the first, gives the leafs only the last as ca.crt, and earlier versions refuse the file. Helm's method uses the whole file."}
	ruleTrust = finding.Rule{ID: "CA010", Severity: finding.Error, Title: "two clusters do not accept each other",
		Why: "Trust is what the processes mount: the client's leaf against the ca.crt (or caBundle) of the server's etcd, and the server's leaf against the client's. A connection that stands stays up until it is made again."}
	ruleTrustUnknown = finding.Rule{ID: "CA011", Severity: finding.Warning, Title: "it is not known whether two clusters accept each other",
		Why: "What is not understood or cannot be read is not called good."}
	ruleInside = finding.Rule{ID: "CA012", Severity: finding.Error, Title: "processes of one cluster do not accept each other",
		Why: "From chart 1.18 a Helm upgrade keeps the Hubble leafs and replaces their ca.crt; a leaf that is renewed alone does the same to the etcd beside it."}
	ruleInsideUnknown = finding.Rule{ID: "CA013", Severity: finding.Warning, Title: "it is not known whether processes of one cluster accept each other",
		Why: "What is not understood or cannot be read is not called good."}
	ruleEtcdStale = finding.Rule{ID: "CA014", Severity: finding.Warning, Title: "etcd has not read its CA file since it was written",
		Why: "etcd reads certificates at every connection but its CA file at start only (etcd issue 11555): it trusts what was there when it started."}
	ruleLeaf = finding.Rule{ID: "CA020", Severity: finding.Error, Title: "a leaf is unusable by itself",
		Why: "Expired, made for another use, or beside a key that is not its own: no CA can mend it."}
	ruleLeafNames = finding.Rule{ID: "CA021", Severity: finding.Warning, Title: "a leaf has unusual names",
		Why: "Cilium's chart makes other names. With certificates of one's own this may be meant."}
	ruleLeafStale = finding.Rule{ID: "CA022", Severity: finding.Warning, Title: "a leaf is not signed by the present CA",
		Why: "cilium-ca was replaced and the leaf not renewed since. The next renewal changes it, and with it whom the cluster trusts."}
	ruleLeafEnds = finding.Rule{ID: "CA023", Severity: finding.Warning, Title: "a leaf expires soon",
		Why: "Helm's method renews leafs at an upgrade only; the CronJob for the mesh has no default schedule before chart 1.20."}
)

// find lists what is wrong, the worst first.
func find(states []*State, r v1alpha1.CAReport, now time.Time) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for i, s := range states {
		out = append(out, caFindings(s, r.Clusters[i], now)...)
		out = append(out, leafFindings(s, r.Clusters[i], now)...)
		out = append(out, insideFindings(s, r.Clusters[i])...)
	}
	out = append(out, trustFindings(r.Trust)...)
	finding.Sort(out)
	return out
}

func caFindings(s *State, c v1alpha1.CACluster, now time.Time) []v1alpha1.Finding {
	object := "secret/" + pki.SecretCA
	at := []string{s.Member.Name}
	if c.CA == nil {
		return []v1alpha1.Finding{ruleCAMissing.New(object, at, c.CAMessage, "")}
	}
	var out []v1alpha1.Finding
	if c.CA.Key != string(pki.KeyMatches) {
		out = append(out, ruleCAKey.New(object, at, c.CA.KeyMessage, "put the key that belongs to the certificate back, or copy another cluster's CA: kubectl mesh-ca sync --from CLUSTER --to "+s.Member.Name))
	}
	if !c.CA.IsCA {
		out = append(out, ruleCANotCA.New(object, at, "its basic constraints or key usage do not allow it to sign", "kubectl mesh-ca sync --from CLUSTER --to "+s.Member.Name))
	}
	if now.Before(c.CA.NotBefore) || now.After(c.CA.NotAfter) {
		out = append(out, ruleCAExpired.New(object, at, fmt.Sprintf("it is valid from %s to %s", date(c.CA.NotBefore), date(c.CA.NotAfter)), "kubectl mesh-ca sync --from CLUSTER --to "+s.Member.Name))
	} else if now.Add(warnBefore).After(c.CA.NotAfter) {
		out = append(out, ruleCAEnds.New(object, at, "it expires on "+date(c.CA.NotAfter), "plan its rotation"))
	}
	if c.CA.Certificates > 1 {
		out = append(out, ruleCAChain.New(object, at, fmt.Sprintf("there are %d certificates in it", c.CA.Certificates), "for a change of CA use tls.caBundle, not two certificates in cilium-ca"))
	}
	return out
}

func leafFindings(s *State, c v1alpha1.CACluster, now time.Time) []v1alpha1.Finding {
	at := []string{s.Member.Name}
	var out []v1alpha1.Finding
	for _, l := range c.Leafs {
		object := "secret/" + l.Secret
		switch {
		case l.Message != "":
			out = append(out, ruleLeaf.New(object, at, l.Message, ""))
			continue
		case l.SignedByCA != nil && !*l.SignedByCA:
			out = append(out, ruleLeafStale.New(object, at, "it is signed by "+l.Issuer+" under another key than cilium-ca's", "renew it, then "+s.restart()))
		}
		for _, p := range l.Problems {
			rule := ruleLeaf
			if p.Severity == string(finding.Warning) {
				rule = ruleLeafNames
			}
			out = append(out, rule.New(object, at, p.Message, "renew it"))
		}
		if now.Before(l.NotAfter) && now.Add(warnBefore).After(l.NotAfter) {
			out = append(out, ruleLeafEnds.New(object, at, "it expires on "+date(l.NotAfter), "renew it"))
		}
	}
	return out
}

func insideFindings(s *State, c v1alpha1.CACluster) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	if src, stale := s.etcdIsStale(); stale {
		out = append(out, ruleEtcdStale.New("deployment/clustermesh-apiserver", []string{s.Member.Name},
			fmt.Sprintf("an etcd runs since %s, %s was written at %s", s.EtcdStarted.UTC().Format(time.RFC3339), src, s.Written[src].UTC().Format(time.RFC3339)), s.restart()))
	}
	for _, l := range c.Inside {
		rule := ruleInside
		switch pki.Verdict(l.Verdict) {
		case pki.OK:
			continue
		case pki.Unknown:
			rule = ruleInsideUnknown
		}
		var reasons []string
		for _, check := range []*v1alpha1.TrustCheck{l.Login, l.Identity} {
			if check != nil && check.Reason != "" {
				reasons = append(reasons, check.Reason)
			}
		}
		out = append(out, rule.New(l.Name, []string{s.Member.Name}, strings.Join(slices.Compact(reasons), "; "), "renew the leaf together with its ca.crt"))
	}
	return out
}

// restart is the command that makes etcd read its CA file again.
func (s *State) restart() string {
	return s.kubectl("rollout restart deployment/" + cilium.DeploymentMeshAPI)
}

// trustFindings makes one finding for two clusters, whichever direction is broken.
func trustFindings(pairs []v1alpha1.TrustPair) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	seen := map[string]bool{}
	for _, p := range pairs {
		names := []string{p.Client, p.Server}
		slices.Sort(names)
		key := strings.Join(names, "\x00") + p.Verdict
		if p.Verdict == string(pki.OK) || seen[key] {
			continue
		}
		seen[key] = true
		rule, fix := ruleTrust, "give both clusters one CA (kubectl mesh-ca sync --from "+p.Client+" --to "+p.Server+"), then renew the leafs"
		if p.Verdict == string(pki.Unknown) {
			rule, fix = ruleTrustUnknown, ""
		}
		reason := p.Login.Reason
		if reason == "" || (p.Login.Verdict == string(pki.Unknown) && p.Identity.Verdict == string(pki.Broken)) {
			reason = p.Identity.Reason
		}
		out = append(out, rule.New(p.Client+" to "+p.Server, names, reason, fix))
	}
	return out
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// certificate makes the facts that are shown of any certificate.
func certificate(cert *x509.Certificate) v1alpha1.Certificate {
	return v1alpha1.Certificate{
		Fingerprint: pki.Fingerprint(cert), PublicKeyHash: pki.SPKIHash(cert), SubjectKeyID: pki.SubjectKeyID(cert),
		Subject: cert.Subject.String(), Issuer: cert.Issuer.String(), NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
	}
}
