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
		return []v1alpha1.Finding{finding.CAMissing.New(object, at, c.CAMessage, "")}
	}
	var out []v1alpha1.Finding
	if c.CA.Key != string(pki.KeyMatches) {
		out = append(out, finding.CAKey.New(object, at, c.CA.KeyMessage, "put the key that belongs to the certificate back, or copy another cluster's CA: kubectl mesh-ca sync --from CLUSTER --to "+s.Member.Name))
	}
	if !c.CA.IsCA {
		out = append(out, finding.CANotCA.New(object, at, "its basic constraints or key usage do not allow it to sign", "kubectl mesh-ca sync --from CLUSTER --to "+s.Member.Name))
	}
	if now.Before(c.CA.NotBefore) || now.After(c.CA.NotAfter) {
		out = append(out, finding.CAExpired.New(object, at, fmt.Sprintf("it is valid from %s to %s", date(c.CA.NotBefore), date(c.CA.NotAfter)), "kubectl mesh-ca sync --from CLUSTER --to "+s.Member.Name))
	} else if now.Add(warnBefore).After(c.CA.NotAfter) {
		out = append(out, finding.CAEnds.New(object, at, "it expires on "+date(c.CA.NotAfter), "plan its rotation"))
	}
	if c.CA.Certificates > 1 {
		out = append(out, finding.CAChain.New(object, at, fmt.Sprintf("there are %d certificates in it", c.CA.Certificates), "for a change of CA use tls.caBundle, not two certificates in cilium-ca"))
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
			out = append(out, finding.LeafBad.New(object, at, l.Message, ""))
			continue
		case l.SignedByCA != nil && !*l.SignedByCA:
			out = append(out, finding.LeafStale.New(object, at, "it is signed by "+l.Issuer+" under another key than cilium-ca's", "renew it, then "+s.restart()))
		}
		for _, p := range l.Problems {
			rule := finding.LeafBad
			if p.Severity == string(finding.Warning) {
				rule = finding.LeafNames
			}
			out = append(out, rule.New(object, at, p.Message, "renew it"))
		}
		if now.Before(l.NotAfter) && now.Add(warnBefore).After(l.NotAfter) {
			out = append(out, finding.LeafEnds.New(object, at, "it expires on "+date(l.NotAfter), "renew it"))
		}
	}
	return out
}

func insideFindings(s *State, c v1alpha1.CACluster) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	if src, stale := s.etcdIsStale(); stale {
		out = append(out, finding.EtcdStale.New("deployment/clustermesh-apiserver", []string{s.Member.Name},
			fmt.Sprintf("an etcd runs since %s, %s was written at %s", s.EtcdStarted.UTC().Format(time.RFC3339), src, s.Written[src].UTC().Format(time.RFC3339)), s.restart()))
	}
	for _, l := range c.Inside {
		rule := finding.Inside
		switch pki.Verdict(l.Verdict) {
		case pki.OK:
			continue
		case pki.Unknown:
			rule = finding.InsideUnknown
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
		rule, fix := finding.Trust, "give both clusters one CA (kubectl mesh-ca sync --from "+p.Client+" --to "+p.Server+"), then renew the leafs"
		if p.Verdict == string(pki.Unknown) {
			rule, fix = finding.TrustUnknown, ""
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
