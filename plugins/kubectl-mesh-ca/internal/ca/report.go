package ca

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// KindReport is the kind of the document that status prints.
const KindReport = "CAReport"

// Report turns the States into the document. Members without a State could not be read.
func Report(members []*clusters.Member, states []*State, now time.Time) v1alpha1.CAReport {
	r := v1alpha1.CAReport{Document: clusters.Document(KindReport, members), Clusters: []v1alpha1.CACluster{}, Trust: []v1alpha1.TrustPair{}}
	sides := make([]pki.Side, 0, len(states))
	noMesh := map[string]bool{}
	for _, s := range states {
		sides = append(sides, s.Side)
		r.Clusters = append(r.Clusters, s.cluster(now))
		noMesh[s.Member.Name] = s.Side.MeshAPI == nil && s.Side.MeshAPINote == ""
		if s.unread() {
			r.Complete = false
		}
	}
	pairs := pki.Matrix(sides, now)
	for _, p := range pairs {
		r.Trust = append(r.Trust, v1alpha1.TrustPair{
			Client: p.Client, Server: p.Server, Verdict: string(p.Verdict), Configured: p.Configured, Login: check(p.Login), Identity: check(p.Identity),
		})
		// A cluster without clustermesh-apiserver has nothing to examine; any other unknown was not examined.
		if p.Verdict == pki.Unknown && !noMesh[p.Server] {
			r.Complete = false
		}
	}
	r.Findings = examination{states: states, pairs: pairs, now: now, known: map[*State]caFacts{}, renewals: map[*State][]string{}}.find(r)
	return r
}

// unread reports whether an existing object could not be read.
func (s *State) unread() bool {
	for _, secret := range s.Secrets {
		if secret.Unreadable != "" {
			return true
		}
	}
	relay := s.Side.RelayNote != "" && s.Secrets[pki.SecretHubbleRelay].Object != nil
	return s.Side.MeshAPINote != "" || s.Side.AgentNote != "" || relay
}

func (s *State) cluster(now time.Time) v1alpha1.CACluster {
	c := v1alpha1.CACluster{Cluster: s.Member.Name, Context: s.Member.Context, Namespace: s.Namespace, Leafs: []v1alpha1.LeafCertificate{}}
	var signer *x509.Certificate
	c.CA, c.CAMessage, signer = authority(s.CA())
	if c.CA == nil {
		c.CAMessage += s.insteadOfCA()
	} else if from, refuses := s.certgenRefuses(); refuses {
		c.CA.CertgenRefusesFrom = &from
	}
	for _, spec := range pki.LeafSpecs() {
		if l, ok := s.leaf(spec, signer, now); ok {
			c.Leafs = append(c.Leafs, l)
		}
	}
	c.Leafs = append(c.Leafs, s.copied(now)...)
	for _, l := range pki.Inside(s.Side, now) {
		link := v1alpha1.TrustLink{Name: l.Name, Verdict: string(l.Verdict)}
		for _, half := range []struct {
			from pki.Check
			to   **v1alpha1.TrustCheck
		}{{l.Login, &link.Login}, {l.Identity, &link.Identity}} {
			if half.from.Verdict != "" {
				c := check(half.from)
				*half.to = &c
			}
		}
		c.Inside = append(c.Inside, link)
	}
	return c
}

// authority returns the facts of a CA Secret, or the reason why there are none.
func authority(secret Secret) (*v1alpha1.Authority, string, *x509.Certificate) {
	switch {
	case secret.Unreadable != "":
		return nil, secret.Unreadable, nil
	case secret.Object == nil:
		return nil, "it does not exist", nil
	}
	ca, err := pki.ParseCA(secret.Object.Data)
	if err != nil {
		return nil, err.Error(), nil
	}
	cert := ca.Signer()
	return &v1alpha1.Authority{
		Certificate: Certificate(cert), IsCA: pki.IsCA(cert), Certificates: len(ca.Chain), Key: string(ca.Key), KeyMessage: ca.KeyNote,
		Owner: owner(secret.Object.ObjectMeta), Immutable: secret.Object.Immutable != nil && *secret.Object.Immutable,
	}, "", cert
}

func owner(m metav1.ObjectMeta) v1alpha1.Owner {
	o := pki.FindOwner(m)
	return v1alpha1.Owner{Kind: string(o.Kind), Name: o.Name, Mark: o.Mark}
}

// insteadOfCA names a CA under a name that old charts used, and the leaf certificates that it signed.
func (s *State) insteadOfCA() string {
	out := ""
	for _, old := range s.OldCAs {
		ca, err := pki.ParseCA(old.Data)
		if err != nil {
			continue
		}
		var signed []string
		for _, spec := range pki.LeafSpecs() {
			if secret := s.Secrets[spec.Secret].Object; secret != nil {
				if leaf, err := pki.ParseLeaf(secret.Data); err == nil && leaf.SignedBy(ca.Signer()) {
					signed = append(signed, spec.Secret)
				}
			}
		}
		out += fmt.Sprintf("; secret %s, a name that old charts used, contains the CA %q (SHA-256 %s), which signed ", old.Name, ca.Signer().Subject.String(), pki.Short(pki.Fingerprint(ca.Signer())))
		if len(signed) == 0 {
			out += "no leaf certificates"
		} else {
			out += strings.Join(signed, ", ")
		}
	}
	return out
}

// certgenRefuses returns the time from which certgen no longer signs with the CA.
func (s *State) certgenRefuses() (time.Time, bool) {
	secret := s.CA().Object
	if secret == nil {
		return time.Time{}, false
	}
	ca, err := pki.ParseCA(secret.Data)
	if err != nil {
		return time.Time{}, false
	}
	var first time.Time
	for _, config := range s.certgen() {
		if from, refuses := config.Refuses(ca.Chain); refuses && (first.IsZero() || from.Before(first)) {
			first = from
		}
	}
	return first, !first.IsZero()
}

// certgen returns the configuration of certgen. If its CronJobs do not exist or cannot be parsed, and a Job of chart 1.20 or later issued the leaf
// certificates, it uses the chart's default and the validity of the present leaf certificates.
func (s *State) certgen() []pki.Certgen {
	v := s.Member.Version
	if len(s.Certgen) > 0 || !v.Known() || (v.Major == 1 && v.Minor < minorEnforce) {
		return s.Certgen
	}
	assumed := pki.Certgen{Enforces: true}
	for _, spec := range pki.LeafSpecs() {
		secret := s.Secrets[spec.Secret].Object
		if secret == nil || owner(secret.ObjectMeta).Kind != string(pki.OwnerCertgen) {
			continue
		}
		if leaf, err := pki.ParseLeaf(secret.Data); err == nil {
			assumed.Longest = max(assumed.Longest, leaf.Cert().NotAfter.Sub(leaf.Cert().NotBefore))
		}
	}
	return []pki.Certgen{assumed}
}

// minorEnforce is the minor version of the first chart with which certgen refuses a CA that expires before the leaf certificates.
const minorEnforce = 20

// leaf returns the facts of one leaf Secret. An optional Secret that does not exist is left out.
func (s *State) leaf(spec pki.LeafSpec, signer *x509.Certificate, now time.Time) (v1alpha1.LeafCertificate, bool) {
	secret := s.Secrets[spec.Secret]
	out := v1alpha1.LeafCertificate{Secret: spec.Secret}
	switch {
	case secret.Unreadable != "":
		out.Message = secret.Unreadable
		return out, !spec.Optional
	case secret.Object == nil:
		// Without clustermesh-apiserver nothing needs one.
		out.Message = "it does not exist"
		return out, !spec.Optional && s.Side.MeshAPI != nil
	}
	o := owner(secret.Object.ObjectMeta)
	out.Owner = &o
	leaf, err := pki.ParseLeaf(secret.Object.Data)
	if err != nil {
		out.Message = err.Error()
		return out, true
	}
	cert := Certificate(leaf.Cert())
	out.Certificate, out.DNSNames, out.Key = &cert, leaf.Cert().DNSNames, string(leaf.Key)
	for _, ip := range leaf.Cert().IPAddresses {
		out.IPAddresses = append(out.IPAddresses, ip.String())
	}
	if signer != nil {
		signed := leaf.SignedBy(signer)
		out.SignedByCA = &signed
	}
	for _, p := range leaf.Problems(spec, cmp.Or(s.Member.Config.ClusterName, s.Member.Name), now) {
		severity := finding.Error
		if p.Names {
			severity = finding.Warning
		}
		out.Problems = append(out.Problems, v1alpha1.LeafProblem{Severity: string(severity), User: p.User, Message: p.Message})
	}
	return out, true
}

func check(c pki.Check) v1alpha1.TrustCheck {
	return v1alpha1.TrustCheck{Presented: source(c.Presented), Trust: source(c.Trust), Verdict: string(c.Verdict), Reason: c.Reason}
}

func source(s pki.Source) string {
	return strings.TrimSuffix(strings.TrimPrefix(s.String(), "/"), "[]")
}
