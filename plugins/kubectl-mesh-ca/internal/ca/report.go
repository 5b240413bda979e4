package ca

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// KindReport is the kind of the document that status prints.
const KindReport = "CAReport"

// Judgement says as of when certificates are judged, and how much time they must have left.
type Judgement struct {
	Now time.Time
	// Warn and Fail are how long before its end a certificate causes a warning and an error; Fail may be 0.
	Warn, Fail time.Duration
}

// Report turns the States into the document, as of now. Members without a State could not be read.
func Report(members []*clusters.Member, states []*State, now time.Time) v1alpha1.CAReport {
	return Examine(members, states, Judgement{Now: now, Warn: warnBefore})
}

// Examine is Report with other limits. now may be a moment in the future: what is judged is what would be, if nothing changes until then.
func Examine(members []*clusters.Member, states []*State, j Judgement) v1alpha1.CAReport {
	r := v1alpha1.CAReport{Document: clusters.Document(KindReport, members), Clusters: []v1alpha1.CACluster{}, Trust: []v1alpha1.TrustPair{}}
	x := newExamination(members, states, j)
	for _, s := range states {
		r.Clusters = append(r.Clusters, x.cluster(s))
		if s.unread() {
			r.Complete = false
		}
	}
	r.Trust, r.Relay = trustPairs(x.pairs), trustPairs(x.relay)
	for _, p := range x.pairs {
		// A cluster without clustermesh-apiserver has nothing to examine; any other unknown was not examined.
		if p.Verdict == pki.Unknown && p.NoMesh == "" {
			r.Complete = false
		}
	}
	r.Federations = x.federations()
	r.Findings = x.find(r)
	r.NextSteps = x.next()
	return r
}

func newExamination(members []*clusters.Member, states []*State, j Judgement) examination {
	sides := make([]pki.Side, len(states))
	byName := map[string]*State{}
	var kept []Kept
	for i, s := range states {
		kept = append(kept, s.Kept...)
		sides[i], byName[s.Side.Name] = s.Side, s
	}
	// Signatures are nearly all of the work in a large mesh, so that every processor has a part of it.
	var (
		all          sync.WaitGroup
		pairs, relay []pki.Pair
	)
	all.Go(func() { pairs = pki.Matrix(sides, j.Now) })
	all.Go(func() { relay = pki.RelayMatrix(sides, j.Now) })
	links := make([][]pki.Link, len(states))
	fanout.Parallel(context.Background(), len(states), func(i int) { links[i] = pki.Inside(sides[i], j.Now) })
	all.Wait()
	inside := make(map[*State][]pki.Link, len(states))
	for i, s := range states {
		inside[s] = links[i]
	}
	x := examination{
		Judgement: j, states: states, byName: byName, members: len(members), kept: kept, pairs: pairs, relay: relay, inside: inside,
		known: map[*State]caFacts{}, renewals: map[*State][]v1alpha1.NextStep{}, used: usedKeys(states),
	}
	x.ends = x.trustEnds()
	return x
}

func trustPairs(pairs []pki.Pair) []v1alpha1.TrustPair {
	out := make([]v1alpha1.TrustPair, 0, len(pairs))
	for _, p := range pairs {
		out = append(out, v1alpha1.TrustPair{
			Client: p.Client, Server: p.Server, Verdict: string(p.Verdict), Configured: p.Configured, WithoutClusterMesh: p.NoMesh, Login: check(p.Login), Identity: check(p.Identity),
		})
	}
	return out
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

func (x examination) cluster(s *State) v1alpha1.CACluster {
	c := v1alpha1.CACluster{
		Cluster: s.Member.Name, Context: s.Member.Context, Namespace: s.Namespace, LeafCertificates: []v1alpha1.LeafCertificate{},
		NoClusterMesh: !s.Side.HasMesh(), AuthMode: string(s.Side.AuthMode()), RotationUnderWay: s.Rotating, FormerCAsMessage: s.KeptNote,
		TrustEnds: x.trustEndList(s),
	}
	now := x.Now
	var signer *x509.Certificate
	c.CA, c.CAMessage, signer = authority(s.CA())
	if c.CA == nil {
		c.CAMessage += s.insteadOfCA()
	} else {
		x.dates(s, c.CA)
		c.CA.Contents = x.contents(s)
	}
	for _, f := range x.formerCAs(s) {
		c.FormerCAs = append(c.FormerCAs, v1alpha1.FormerCA{Certificate: Certificate(f.cert), TrustedBy: f.trustedBy, KeyIn: f.keyIn})
	}
	for _, spec := range pki.LeafSpecs() {
		if l, ok := s.leaf(spec, signer, now); ok {
			c.LeafCertificates = append(c.LeafCertificates, l)
		}
	}
	c.LeafCertificates = append(c.LeafCertificates, s.copied(now)...)
	for _, l := range x.inside[s] {
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
		c.InternalConnections = append(c.InternalConnections, link)
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
		Certificate: Certificate(ca.Identity()), IsCA: pki.IsCA(cert), Certificates: len(ca.Chain), Key: string(ca.Key), KeyMessage: ca.KeyNote,
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
		leaves := s.LeafCertificates()
		for _, spec := range pki.LeafSpecs() {
			if leaf, ok := leaves[spec.Secret]; ok && leaf.SignedBy(ca.Signer()) {
				signed = append(signed, spec.Secret)
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

// leaf returns the facts of one leaf Secret. An optional Secret that does not exist is left out.
func (s *State) leaf(spec pki.LeafSpec, signer *x509.Certificate, now time.Time) (v1alpha1.LeafCertificate, bool) {
	secret := s.Secrets[spec.Secret]
	out := v1alpha1.LeafCertificate{Secret: spec.Secret}
	switch {
	case secret.Unreadable != "":
		out.Message = secret.Unreadable
		return out, !spec.Optional
	case secret.Object == nil && s.Deleted[spec.Secret].Kind != "":
		out.Message = "it does not exist, although processes mount it; a backup shows that mesh-ca deleted it earlier. A Helm upgrade recreates it"
		return out, true
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
	out.Certificates = len(leaf.Chain)
	if signer != nil {
		relation := leaf.Relation(signer)
		signed := relation == pki.Direct || relation == pki.Cross
		out.Relation, out.SignedByCA = string(relation), &signed
	}
	for _, p := range leaf.Problems(spec, cmp.Or(s.Member.Config.ClusterName, s.Member.Name), now) {
		severity := finding.Error
		if p.Names {
			severity = finding.Warning
		}
		out.Problems = append(out.Problems, v1alpha1.LeafProblem{Severity: string(severity), Kind: string(p.Kind), UnknownUser: p.User, Message: p.Message})
	}
	return out, true
}

func check(c pki.Check) v1alpha1.TrustCheck {
	return v1alpha1.TrustCheck{Presented: source(c.Presented), Trust: source(c.Trust), Verdict: string(c.Verdict), Reason: c.Reason}
}

func source(s pki.Source) string {
	return strings.TrimSuffix(strings.TrimPrefix(s.String(), "/"), "[]")
}
