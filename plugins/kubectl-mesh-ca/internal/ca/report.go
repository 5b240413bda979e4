package ca

import (
	"cmp"
	"crypto/x509"
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

// Report turns what was read into the document. Members without a State are those that could not be read.
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
	for _, p := range pki.Matrix(sides, now) {
		r.Trust = append(r.Trust, v1alpha1.TrustPair{
			Client: p.Client, Server: p.Server, Verdict: string(p.Verdict), Configured: p.Configured, Login: check(p.Login), Identity: check(p.Identity),
		})
		// A cluster without clustermesh-apiserver has nothing to be examined; any other unknown was not examined.
		if p.Verdict == pki.Unknown && !noMesh[p.Server] {
			r.Complete = false
		}
	}
	r.Findings = find(states, r, now)
	return r
}

// unread reports whether something was there that could not be read.
func (s *State) unread() bool {
	for _, secret := range s.Secrets {
		if secret.Unreadable != "" {
			return true
		}
	}
	return s.Side.MeshAPINote != "" || s.Side.AgentNote != ""
}

func (s *State) cluster(now time.Time) v1alpha1.CACluster {
	c := v1alpha1.CACluster{Cluster: s.Member.Name, Context: s.Member.Context, Namespace: s.Namespace, Leafs: []v1alpha1.LeafCertificate{}}
	var signer *x509.Certificate
	c.CA, c.CAMessage, signer = authority(s.CA())
	for _, spec := range pki.LeafSpecs() {
		if l, ok := s.leaf(spec, signer, now); ok {
			c.Leafs = append(c.Leafs, l)
		}
	}
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

// authority shows a CA Secret, or says why there is nothing to show.
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
		Certificate: certificate(cert), IsCA: pki.IsCA(cert), Certificates: len(ca.Chain), Key: string(ca.Key), KeyMessage: ca.KeyNote,
		Owner: owner(secret.Object.ObjectMeta), Immutable: secret.Object.Immutable != nil && *secret.Object.Immutable,
	}, "", cert
}

func owner(m metav1.ObjectMeta) v1alpha1.Owner {
	o := pki.FindOwner(m)
	return v1alpha1.Owner{Kind: string(o.Kind), Name: o.Name, Mark: o.Mark}
}

// leaf shows one leaf Secret. One that does not exist and need not is left out.
func (s *State) leaf(spec pki.LeafSpec, signer *x509.Certificate, now time.Time) (v1alpha1.LeafCertificate, bool) {
	secret := s.Secrets[spec.Secret]
	out := v1alpha1.LeafCertificate{Secret: spec.Secret}
	switch {
	case secret.Unreadable != "":
		out.Message = secret.Unreadable
		return out, !spec.Optional
	case secret.Object == nil:
		// Without clustermesh-apiserver there is nothing that would need one.
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
	cert := certificate(leaf.Cert())
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
		out.Problems = append(out.Problems, v1alpha1.LeafProblem{Severity: string(severity), Message: p.Message})
	}
	return out, true
}

func check(c pki.Check) v1alpha1.TrustCheck {
	return v1alpha1.TrustCheck{Presented: source(c.Presented), Trust: source(c.Trust), Verdict: string(c.Verdict), Reason: c.Reason}
}

func source(s pki.Source) string {
	return strings.TrimSuffix(strings.TrimPrefix(s.String(), "/"), "[]")
}
