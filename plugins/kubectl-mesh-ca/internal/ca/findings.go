package ca

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// warnBefore is how long before its expiry a certificate causes a warning.
const warnBefore = 60 * 24 * time.Hour

// examination holds everything that the rules check.
type examination struct {
	states []*State
	pairs  []pki.Pair
	now    time.Time
	// known and renewals cache results for a cluster.
	known    map[*State]caFacts
	renewals map[*State][]string
}

// find lists the findings, the worst first.
func (x examination) find(r v1alpha1.CAReport) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for i, s := range x.states {
		out = append(out, x.caFindings(s, r.Clusters[i])...)
		out = append(out, x.leafFindings(s, r.Clusters[i])...)
		out = append(out, insideFindings(s, r.Clusters[i])...)
		out = append(out, skippedFindings(s)...)
		out = append(out, hiddenFindings(s)...)
	}
	out = append(out, x.trustFindings()...)
	finding.Sort(out)
	return out
}

func (x examination) caFindings(s *State, c v1alpha1.CACluster) []v1alpha1.Finding {
	object := "secret/" + pki.SecretCA
	at := []string{s.Member.Name}
	if c.CA == nil {
		return []v1alpha1.Finding{finding.CAMissing.New(object, at, c.CAMessage, s.readable(pki.Ref{Kind: pki.Secret, Name: pki.SecretCA}, pki.KeyCACert))}
	}
	var out []v1alpha1.Finding
	if c.CA.Key != string(pki.KeyMatches) {
		out = append(out, finding.CAKey.New(object, at, c.CA.KeyMessage, x.replace(s)))
	}
	if !c.CA.IsCA {
		out = append(out, finding.CANotCA.New(object, at, "its basic constraints or key usage do not allow signing", x.replace(s)))
	}
	if x.now.Before(c.CA.NotBefore) || x.now.After(c.CA.NotAfter) {
		out = append(out, finding.CAExpired.New(object, at, fmt.Sprintf("it is valid from %s to %s", date(c.CA.NotBefore), date(c.CA.NotAfter)), x.replace(s)))
	} else if x.now.Add(warnBefore).After(c.CA.NotAfter) {
		out = append(out, finding.CAEnds.New(object, at, "it expires on "+date(c.CA.NotAfter), ""))
	}
	if c.CA.Certificates > 1 {
		out = append(out, finding.CAChain.New(object, at, fmt.Sprintf("it contains %d certificates", c.CA.Certificates), ""))
	}
	if from := c.CA.CertgenRefusesFrom; from != nil && x.now.Add(warnBefore).After(*from) {
		out = append(out, finding.CertgenRefuses.New(object, at, s.refusal(*from, c.CA.NotAfter, x.now), ""))
	}
	return out
}

// refusal says from when certgen refuses the CA, and how this was determined.
func (s *State) refusal(from, end, now time.Time) string {
	verb := "will refuse it from"
	if !now.Before(from) {
		verb = "has refused it since"
	}
	text := fmt.Sprintf("certgen %s %s: the CA expires on %s, before new leaf certificates would expire", verb, date(from), date(end))
	if len(s.Certgen) == 0 {
		text += " (calculated from the chart's default and the validity of the present leaf certificates, because the configuration of certgen was not found)"
	}
	if s.CertgenNote != "" {
		text += "; " + s.CertgenNote
	}
	return text
}

func (x examination) leafFindings(s *State, c v1alpha1.CACluster) []v1alpha1.Finding {
	at := []string{s.Member.Name}
	var out []v1alpha1.Finding
	for _, l := range c.Leafs {
		object := "secret/" + l.Secret
		switch {
		case l.Message != "":
			out = append(out, finding.LeafBad.New(object, at, l.Message, s.readable(pki.Ref{Kind: pki.Secret, Name: l.Secret}, pki.KeyTLSCert)))
			continue
		case l.SignedByCA != nil && !*l.SignedByCA:
			out = append(out, finding.LeafStale.New(object, at, "it is signed by "+l.Issuer+" with a key other than that of cilium-ca", "renew it, then "+s.restart()))
		}
		for _, p := range l.Problems {
			rule := finding.LeafBad
			switch {
			case p.User:
				rule = finding.EtcdUser
			case p.Severity == string(finding.Warning):
				rule = finding.LeafNames
			}
			out = append(out, rule.New(object, at, p.Message, ""))
		}
		if x.now.Before(l.NotAfter) && x.now.Add(warnBefore).After(l.NotAfter) {
			out = append(out, finding.LeafEnds.New(object, at, "it expires on "+date(l.NotAfter), ""))
		}
	}
	return out
}

func insideFindings(s *State, c v1alpha1.CACluster) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	if why := s.etcdStale(); why != "" {
		out = append(out, finding.EtcdStale.New("deployment/clustermesh-apiserver", []string{s.Member.Name}, why, s.restart()))
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
		out = append(out, rule.New(l.Name, []string{s.Member.Name}, strings.Join(slices.Compact(reasons), "; "), ""))
	}
	return out
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Certificate returns the facts that are shown for any certificate.
func Certificate(cert *x509.Certificate) v1alpha1.Certificate {
	return v1alpha1.Certificate{
		Fingerprint: pki.Fingerprint(cert), PublicKeyHash: pki.SPKIHash(cert), SubjectKeyID: pki.SubjectKeyID(cert),
		Subject: cert.Subject.String(), Issuer: cert.Issuer.String(), NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
	}
}
