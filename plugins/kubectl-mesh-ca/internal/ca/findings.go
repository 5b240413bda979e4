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
	Judgement

	states       []*State
	byName       map[string]*State // by Cilium's name
	members      int               // those that could not be read included
	pairs, relay []pki.Pair
	inside       map[*State][]pki.Link // within each cluster
	ends         map[*State][]trustEnd // see trustEnds
	kept         []Kept                // in any cluster
	// known and renewals cache results for a cluster, and used whether a CA is in use, by its public key.
	known    map[*State]caFacts
	renewals map[*State][]v1alpha1.NextStep
	used     map[string]bool
}

// find lists the findings, the worst first.
func (x examination) find(r v1alpha1.CAReport) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for i, s := range x.states {
		out = append(out, x.caFindings(s, r.Clusters[i])...)
		out = append(out, x.leafFindings(s, r.Clusters[i])...)
		out = append(out, insideFindings(s, r.Clusters[i])...)
		out = append(out, formerFindings(r.Clusters[i])...)
		out = append(out, skippedFindings(s)...)
		out = append(out, hiddenFindings(s)...)
		out = append(out, x.trustEndFindings(s)...)
	}
	out = append(out, x.trustFindings()...)
	out = append(out, x.noMeshFindings()...)
	out = append(out, x.relayFindings()...)
	finding.Sort(out)
	return out
}

// soon returns a finding about what happens at a moment: none if that is further away than x.Warn, an error if it is not further away than x.Fail.
func (x examination) soon(rule finding.Rule, object string, at []string, when time.Time, message, fix string) []v1alpha1.Finding {
	if !x.Now.Add(x.Warn).After(when) {
		return nil
	}
	f := rule.New(object, at, message, fix)
	if x.Fail > 0 && x.Now.Add(x.Fail).After(when) {
		f.Severity = string(finding.Error)
	}
	return []v1alpha1.Finding{f}
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
	if x.Now.Before(c.CA.NotBefore) || x.Now.After(c.CA.NotAfter) {
		out = append(out, finding.CAExpired.New(object, at, fmt.Sprintf("it is valid from %s to %s", date(c.CA.NotBefore), date(c.CA.NotAfter)), x.replace(s)))
	} else {
		out = append(out, x.soon(finding.CAEnds, object, at, c.CA.NotAfter, "it expires on "+date(c.CA.NotAfter), "")...)
	}
	out = append(out, x.chainFindings(s, c)...)
	switch from := c.CA.CertgenRefusesFrom; {
	case from != nil:
		out = append(out, x.soon(finding.CertgenRefuses, object, at, *from, s.refusal(*from, c.CA.NotAfter, x.Now), "")...)
	case c.CA.DueFrom != nil && x.Now.Before(c.CA.NotAfter):
		message := fmt.Sprintf("it expires on %s, before leaf certificates that are issued from %s on", date(c.CA.NotAfter), date(*c.CA.DueFrom))
		if at, ok := s.Renewal(pki.SecretCA, c.CA.NotBefore, c.CA.NotAfter); ok {
			message = fmt.Sprintf("cert-manager issues it again on %s (Certificate %s). Unless the new CA has the same key, the other clusters must trust the new CA before that date", date(at), s.Issuances[pki.SecretCA].Name)
		}
		if f := x.soon(finding.CADue, object, at, *c.CA.DueFrom, message, ""); len(f) > 0 {
			f[0].Severity = string(finding.CADue.Severity) // what is signed meanwhile works until the CA expires
			out = append(out, f...)
		}
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

func insideFindings(s *State, c v1alpha1.CACluster) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	if why := s.etcdStale(); why != "" {
		out = append(out, finding.EtcdStale.New("deployment/clustermesh-apiserver", []string{s.Member.Name}, why, s.restart()))
	}
	for _, l := range c.InternalConnections {
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
