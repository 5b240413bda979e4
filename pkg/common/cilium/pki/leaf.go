package pki

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Names of the leaf Secrets. Old ones that cilium-cli made had a trailing "s" (cilium-cli getDeprecatedName) and are not looked for.
const (
	SecretServer       = "clustermesh-apiserver-server-cert"
	SecretAdmin        = "clustermesh-apiserver-admin-cert"
	SecretRemote       = "clustermesh-apiserver-remote-cert"
	SecretLocal        = "clustermesh-apiserver-local-cert"
	SecretExternal     = "clustermesh-apiserver-client-cert"
	SecretHubbleServer = "hubble-server-certs"
	SecretHubbleRelay  = "hubble-relay-client-certs"
)

// Family says which Helm value decides how a leaf is made: clustermesh.apiserver.tls.auto.method or hubble.tls.auto.method. They are independent.
type Family string

// The two families of leaf certificates.
const (
	FamilyMesh   Family = "clustermesh"
	FamilyHubble Family = "hubble"
)

// LeafSpec describes one leaf Secret as Cilium's chart creates it.
type LeafSpec struct {
	Secret string
	Family Family
	Server bool // needs server authentication
	Client bool // needs client authentication
	// User: the common name must be one of these, because it is the user of the cluster's own etcd.
	User bool
	// CommonNames are the accepted ones; "{cluster}" stands for the cluster's name and "{dashed}" for it with dashes for dots.
	CommonNames []string
	// DNSNames must all be in the certificate. The chart has more; these are what its clients ask for.
	DNSNames []string
	// Optional leaf certificates belong to a feature or a version that a cluster may not have: their absence is not a finding.
	Optional bool
}

// LeafSpecs is the table of derived Secrets, in the order in which they are shown.
// Source: charts 1.15 to 1.20, templates/clustermesh-apiserver/tls-*/ and templates/hubble/tls-*/.
func LeafSpecs() []LeafSpec {
	return []LeafSpec{
		// The common name is clustermesh-apiserver.<namespace>.svc in the 2026 documentation for certificates of one's own.
		{Secret: SecretServer, Family: FamilyMesh, Server: true, CommonNames: []string{"clustermesh-apiserver.cilium.io", "clustermesh-apiserver.*"}, DNSNames: []string{"*.mesh.cilium.io"}},
		{Secret: SecretAdmin, Family: FamilyMesh, Client: true, User: true, CommonNames: []string{"admin-{cluster}"}},
		// "remote" with authMode legacy and migration, the default up to 1.18 and from 1.19; remote-<cluster> with authMode cluster.
		{Secret: SecretRemote, Family: FamilyMesh, Client: true, CommonNames: []string{"remote", "remote-{cluster}"}},
		// Agents log in to their own cluster's etcd with it when KVStoreMesh is on; chart 1.16 and later.
		{Secret: SecretLocal, Family: FamilyMesh, Client: true, User: true, CommonNames: []string{"local-{cluster}"}, Optional: true},
		// External workloads; up to 1.17.
		{Secret: SecretExternal, Family: FamilyMesh, Client: true, CommonNames: []string{"externalworkload"}, Optional: true},
		{Secret: SecretHubbleServer, Family: FamilyHubble, Server: true, CommonNames: []string{"*.{dashed}.hubble-grpc.cilium.io"}, DNSNames: []string{"*.{dashed}.hubble-grpc.cilium.io"}, Optional: true},
		{Secret: SecretHubbleRelay, Family: FamilyHubble, Client: true, CommonNames: []string{"*.hubble-relay.cilium.io"}, Optional: true},
		{Secret: "hubble-relay-server-certs", Family: FamilyHubble, Server: true, CommonNames: []string{"*.hubble-relay.cilium.io"}, Optional: true},
		{Secret: "hubble-ui-client-certs", Family: FamilyHubble, Client: true, CommonNames: []string{"*.hubble-ui.cilium.io"}, Optional: true},
		{Secret: "hubble-metrics-server-certs", Family: FamilyHubble, Server: true, CommonNames: []string{"{cluster}.hubble-metrics.cilium.io"}, Optional: true},
	}
}

// Leaf holds the facts about one leaf Secret.
type Leaf struct {
	// Chain is tls.crt: the leaf, then the intermediates that are sent with it.
	Chain []*x509.Certificate
	// Trust is the Secret's own ca.crt; empty when it has none. Whether a process mounts it is another question (see Side).
	Trust []*x509.Certificate
	// TrustNote says why Trust is empty.
	TrustNote string
	Key       KeyState
	KeyNote   string
}

// Cert is the leaf certificate itself.
func (l Leaf) Cert() *x509.Certificate { return l.Chain[0] }

// ParseLeaf reads the data of a leaf Secret.
func ParseLeaf(data map[string][]byte) (Leaf, error) {
	if len(data[KeyTLSCert]) == 0 {
		return Leaf{}, fmt.Errorf("it does not contain %s", KeyTLSCert)
	}
	chain, err := ParseCertificates(data[KeyTLSCert])
	if err != nil {
		return Leaf{}, fmt.Errorf("%s: %w", KeyTLSCert, err)
	}
	leaf := Leaf{Chain: chain}
	state, err := CheckKey(chain[0], data[KeyTLSKey])
	leaf.Key = state
	if err != nil {
		leaf.KeyNote = err.Error()
	}
	if len(data[KeyCACert]) == 0 {
		leaf.TrustNote = KeyCACert + " is not in it"
		return leaf, nil
	}
	if leaf.Trust, err = ParseCertificates(data[KeyCACert]); err != nil {
		leaf.TrustNote = KeyCACert + ": " + err.Error()
	}
	return leaf, nil
}

// Problem is a problem of a certificate itself.
type Problem struct {
	// Kind says in one word what is wrong, so that many problems can be summarized.
	Kind ProblemKind
	// Names: the problem concerns only names. Cilium's chart uses others, but your own certificates may differ on purpose.
	Names bool
	// User: the common name is not a user of etcd, so the certificate verifies but cannot log in.
	User    bool
	Message string
}

// ProblemKind is what is wrong with a certificate.
type ProblemKind string

// The kinds of problems.
const (
	ProblemKey   ProblemKind = "key"   // the private key is missing, broken, or that of another certificate
	ProblemClock ProblemKind = "clock" // expired or not yet valid
	ProblemUsage ProblemKind = "usage" // its extended key usage does not fit
	ProblemUser  ProblemKind = "user"  // etcd does not know the user that it names
	ProblemNames ProblemKind = "names" // names that Cilium's charts do not make
)

// Problems lists the problems of a leaf certificate itself, most serious first: key, clock, usage, names. It does not check who accepts it.
func (l Leaf) Problems(spec LeafSpec, cluster string, now time.Time) []Problem {
	var problems []Problem
	cert := l.Cert()
	if l.Key != KeyMatches {
		problems = append(problems, Problem{Kind: ProblemKey, Message: l.KeyNote})
	}
	if err := withinValidity(cert, now); err != nil {
		problems = append(problems, Problem{Kind: ProblemClock, Message: err.Error()})
	}
	if spec.Server && !allows(cert, x509.ExtKeyUsageServerAuth) {
		problems = append(problems, Problem{Kind: ProblemUsage, Message: "its extended key usage does not allow server authentication"})
	}
	if spec.Client && !allows(cert, x509.ExtKeyUsageClientAuth) {
		problems = append(problems, Problem{Kind: ProblemUsage, Message: "its extended key usage does not allow client authentication"})
	}
	if want := expand(spec.CommonNames, cluster); !matchesAny(cert.Subject.CommonName, want) {
		problems = append(problems, spec.wrongName(cert.Subject.CommonName, want))
	}
	for _, name := range expand(spec.DNSNames, cluster) {
		if !slices.ContainsFunc(cert.DNSNames, func(have string) bool { return strings.EqualFold(have, name) }) {
			problems = append(problems, Problem{Kind: ProblemNames, Names: true, Message: fmt.Sprintf("its names do not include %q", name)})
		}
	}
	return problems
}

// wrongName is the problem of a common name that Cilium's charts do not make. Where etcd takes its user from it, the certificate cannot log in: the
// users of the own etcd are known, and no etcd has a user without a name.
func (spec LeafSpec) wrongName(have string, want []string) Problem {
	if spec.User || (have == "" && spec.Secret == SecretRemote) {
		return Problem{Kind: ProblemUser, User: true, Message: fmt.Sprintf("its common name is %q, not %s: etcd takes the user from it and has no such user", clean(have), quoteAll(want))}
	}
	return Problem{Kind: ProblemNames, Names: true, Message: fmt.Sprintf("its common name is %q, not %s", clean(have), quoteAll(want))}
}

// allows reports whether a certificate may be used for a purpose. One without extended key usages may be used for any (RFC 5280 4.2.1.12).
func allows(cert *x509.Certificate, usage x509.ExtKeyUsage) bool {
	if len(cert.ExtKeyUsage) == 0 && len(cert.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(cert.ExtKeyUsage, usage) || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// withinValidity says why a certificate is not valid at a moment, or nil.
func withinValidity(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(cert.NotBefore):
		return fmt.Errorf("it is not valid before %s", cert.NotBefore.UTC().Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return fmt.Errorf("it expired on %s", cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

func expand(patterns []string, cluster string) []string {
	r := strings.NewReplacer("{cluster}", cluster, "{dashed}", strings.ReplaceAll(cluster, ".", "-"))
	out := make([]string, len(patterns))
	for i, p := range patterns {
		out[i] = r.Replace(p)
	}
	return out
}

// matchesAny compares a common name with patterns, of which only a trailing ".*" is one.
func matchesAny(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if stem, ok := strings.CutSuffix(p, ".*"); ok {
			return strings.HasPrefix(name, stem+".")
		}
		return name == p
	})
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, " or ")
}
