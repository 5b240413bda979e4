package ca

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// Chart120 lists what breaks, or begins to end, when clusters with an older chart are upgraded to chart 1.20 at the moment of the judgement, and what could not
// be read that it needs. Clusters that have that chart already are left out: what is wrong there is found as it is.
func Chart120(states []*State, j Judgement) ([]v1alpha1.Finding, []v1alpha1.NotExamined) {
	var out []v1alpha1.Finding
	var gaps []v1alpha1.NotExamined
	for _, s := range states {
		if v := s.Member.Version; v.Known() && (v.Major > 1 || v.Minor >= pki.MinorOneYear) {
			continue
		}
		out = append(out, s.oneYear(j)...)
		out = append(out, s.willRefuse(j)...)
		if len(s.Values.Removed) > 0 {
			out = append(out, finding.ChartValues.New("release "+s.Release.Name, []string{s.Member.Name}, "the values set "+strings.Join(prefixed(s.Values.Prefix, s.Values.Removed), ", "), ""))
		}
		for _, client := range states {
			if lost := pki.LostNames(client.Side, s.Side); client != s && len(lost) > 0 && s.chartIssues(pki.SecretServer) {
				names := []string{client.Member.Name, s.Member.Name}
				slices.Sort(names)
				out = append(out, finding.ChartNames.New("secret/"+pki.SecretServer, names,
					fmt.Sprintf("%s connects to %s by %s, which the certificate will not include", client.Member.Name, s.Member.Name, strings.Join(lost, ", ")), ""))
			}
		}
		if s.Release.Known() && !s.Values.Known {
			gaps = append(gaps, v1alpha1.NotExamined{
				Cluster: s.Member.Name, Verb: "list", Resource: "secrets", Namespace: s.Release.Namespace, Findings: []string{finding.ChartOneYear.ID, finding.ChartValues.ID},
				Class: "forbidden", Message: fmt.Sprintf("the values of release %s could not be read: %s", s.Release.Name, s.Values.Note),
			})
		}
	}
	finding.Sort(out)
	return out, gaps
}

func prefixed(prefix string, values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = prefix + v
	}
	return out
}

// issuer returns who issues a leaf Secret, "" if it does not exist.
func (s *State) issuer(secret string) pki.OwnerKind {
	if obj := s.Secrets[secret].Object; obj != nil {
		return pki.FindOwner(obj.ObjectMeta).Kind
	}
	return ""
}

// chartIssues reports whether Cilium's chart decides what is in a leaf certificate.
func (s *State) chartIssues(secret string) bool {
	return slices.Contains([]pki.OwnerKind{pki.OwnerHelm, pki.OwnerCertgen, pki.OwnerCertManager, pki.OwnerFlux}, s.issuer(secret))
}

// oneYear reports leaf certificates that only the next upgrade would renew.
func (s *State) oneYear(j Judgement) []v1alpha1.Finding {
	if kind := s.issuer(pki.SecretServer); (kind != pki.OwnerHelm && kind != pki.OwnerFlux) || !s.Values.Known || s.Values.Validity[pki.FamilyMesh] > 0 {
		return nil
	}
	message := fmt.Sprintf("if it is upgraded on %s, the leaf certificates of Cluster Mesh expire on %s unless Helm runs again", date(j.Now), date(j.Now.Add(pki.OneYear)))
	if chain := s.chain(); len(chain) > 0 && chain[0].NotAfter.Before(j.Now.Add(pki.OneYear)) {
		message += fmt.Sprintf("; the CA expires before, on %s", date(chain[0].NotAfter))
	}
	return []v1alpha1.Finding{finding.ChartOneYear.New("secret/"+pki.SecretServer, []string{s.Member.Name}, message, "")}
}

// willRefuse applies the rule of certgen in chart 1.20 to the CA.
func (s *State) willRefuse(j Judgement) []v1alpha1.Finding {
	config := pki.Certgen{Enforces: true}
	for family, secret := range map[pki.Family]string{pki.FamilyMesh: pki.SecretServer, pki.FamilyHubble: pki.SecretHubbleServer} {
		if s.issuer(secret) != pki.OwnerCertgen {
			continue
		}
		validity := pki.OneYear
		if days := s.Values.Validity[family]; days > 0 {
			validity = time.Duration(days) * day
		}
		config.Longest = max(config.Longest, validity)
	}
	chain := s.chain()
	from, refuses := config.Refuses(chain)
	if !refuses || j.Now.Add(j.Warn).Before(from) {
		return nil
	}
	message := fmt.Sprintf("certgen of chart 1.20 refuses it from %s on: a certificate of cilium-ca expires on %s, before leaf certificates that are valid for %d days", date(from), date(from.Add(config.Longest)), int(config.Longest/day))
	f := finding.CertgenRefuses.New("secret/"+pki.SecretCA, []string{s.Member.Name}, message, "")
	if !j.Now.Before(from) {
		f.Severity = string(finding.Error) // the Job of the upgrade fails
	}
	return []v1alpha1.Finding{f}
}
