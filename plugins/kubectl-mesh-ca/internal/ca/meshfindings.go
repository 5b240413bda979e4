package ca

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// noMeshFindings lists the clusters without clustermesh-apiserver: one finding for each, instead of one for each direction.
func (x examination) noMeshFindings() []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, s := range x.states {
		if s.Side.HasMesh() {
			continue
		}
		message := "there is no deployment/clustermesh-apiserver: other clusters cannot connect to this cluster"
		var waiting []string
		for _, other := range x.states {
			if _, configured := other.Side.Peers[s.Side.Name]; configured && other != s {
				waiting = append(waiting, other.Member.Name)
			}
		}
		if len(waiting) > 0 {
			message += fmt.Sprintf(", although %s is configured to", strings.Join(waiting, ", "))
		}
		out = append(out, finding.NoMeshAPI.New("deployment/clustermesh-apiserver", []string{s.Member.Name}, message, ""))
	}
	return out
}

// relayFindings lists, for each cluster, the clusters whose agents its Hubble Relay cannot use. Only connected clusters count: elsewhere Relay knows no
// nodes of the other cluster.
func (x examination) relayFindings() []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, verdict := range []pki.Verdict{pki.Broken, pki.Unknown} {
		servers := map[string][]string{}
		reasons := map[string]string{}
		for _, p := range x.relay {
			if p.Verdict != verdict || !p.Configured {
				continue
			}
			servers[p.Client] = append(servers[p.Client], p.Server)
			if reasons[p.Client] == "" {
				reasons[p.Client] = reasonOf(p)
			}
		}
		for _, s := range x.states {
			to := servers[s.Side.Name]
			if len(to) == 0 {
				continue
			}
			rule := finding.RelayTrust
			message := fmt.Sprintf("Hubble Relay of %s cannot connect to the agents of %s: %s", s.Member.Name, strings.Join(to, ", "), reasons[s.Side.Name])
			if verdict == pki.Unknown {
				rule = finding.InsideUnknown
				message = fmt.Sprintf("cannot determine whether Hubble Relay of %s can connect to the agents of %s: %s", s.Member.Name, strings.Join(to, ", "), reasons[s.Side.Name])
			}
			names := append([]string{s.Member.Name}, to...)
			slices.Sort(names)
			out = append(out, rule.New("deployment/"+pki.DeploymentRelay, names, message, ""))
		}
	}
	return out
}

// formerFindings lists the former CAs of a cluster, one finding for each.
func formerFindings(c v1alpha1.CACluster) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, f := range c.FormerCAs {
		rule, message := finding.FormerKey, fmt.Sprintf("the key of the former CA %s (%s) is in %s; no file trusts it", pki.Short(f.Fingerprint), f.Subject, strings.Join(f.KeyIn, ", "))
		if len(f.TrustedBy) > 0 {
			where := f.TrustedBy[0]
			if more := len(f.TrustedBy) - 1; more > 0 {
				where += fmt.Sprintf(" and %d more", more)
			}
			rule, message = finding.FormerTrusted, fmt.Sprintf("the CA %s (%s), with which no cluster signs, is still trusted by %s", pki.Short(f.Fingerprint), f.Subject, where)
			if len(f.KeyIn) > 0 {
				message += ", and its key is in " + strings.Join(f.KeyIn, ", ")
			}
		}
		found := rule.New("CA "+pki.Short(f.Fingerprint), []string{c.Cluster}, message, "")
		found.Objects = f.TrustedBy
		out = append(out, found)
	}
	return out
}

// contents says what each certificate of a cilium-ca with several is.
func (x examination) contents(s *State) []v1alpha1.CAPart {
	chain := x.chain(s)
	if len(chain) < 2 {
		return nil
	}
	var out []v1alpha1.CAPart
	for _, p := range (pki.CA{Chain: chain}).Parts() {
		part := v1alpha1.CAPart{Fingerprint: pki.Fingerprint(p.Cert), Subject: p.Cert.Subject.String(), NotAfter: p.Cert.NotAfter.UTC(), Role: string(p.Role)}
		if of := x.ownerOfCA(p.Cert, s); of != nil && (p.Role == pki.PartOther || p.Role == pki.PartIssuer) {
			part.Cluster = of.Member.Name
		}
		out = append(out, part)
	}
	return out
}

// ownerOfCA returns another cluster whose cilium-ca signs with the key of a certificate, nil if none does.
func (x examination) ownerOfCA(ca *x509.Certificate, except *State) *State {
	for _, s := range x.states {
		if chain := x.chain(s); s != except && len(chain) > 0 && pki.SameKey(chain[0], ca) {
			return s
		}
	}
	return nil
}

// chainFindings says what several certificates in cilium-ca do. They are expected in a federation and during a rotation, where each has a known role.
func (x examination) chainFindings(s *State, c v1alpha1.CACluster) []v1alpha1.Finding {
	if len(c.CA.Contents) == 0 {
		return nil
	}
	unknown := 0
	parts := make([]string, 0, len(c.CA.Contents))
	for i, p := range c.CA.Contents {
		what := map[pki.PartRole]string{
			pki.PartSigner: "signs", pki.PartRoot: "is its own root", pki.PartCross: "is its key, signed by another CA", pki.PartIssuer: "signed the first", pki.PartOther: "is another CA",
		}[pki.PartRole(p.Role)]
		if p.Cluster != "" {
			what = "is the CA of " + p.Cluster
		} else if p.Role == string(pki.PartOther) {
			unknown++
		}
		parts = append(parts, fmt.Sprintf("%d %s", i+1, what))
	}
	f := finding.CAChain.New("secret/"+pki.SecretCA, []string{s.Member.Name}, fmt.Sprintf("it contains %d certificates: %s", len(parts), strings.Join(parts, ", ")), "")
	if unknown == 0 {
		f.Severity = string(finding.Info)
	}
	return []v1alpha1.Finding{f}
}
