package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// Renewal is how the leaf certificates of one cluster are issued again, and what restarts after it. It holds a private key and is never printed.
type Renewal struct {
	State *State
	// Steps are what is printed for the cluster, in order, with what a command can do for each. The restart comes last.
	Steps []Step
	// Leaves are the leaf certificates that are issued again.
	Leaves []DueLeaf

	// data is cilium-ca as it is, or as it is about to be, and signer its first certificate.
	data   map[string][]byte
	signer *x509.Certificate
}

// DueLeaf is a leaf certificate that is issued again.
type DueLeaf struct {
	Secret string
	Owner  pki.Owner
	// Fingerprint is that of the present certificate; empty if it cannot be parsed.
	Fingerprint string
	// Worn: it is issued again although nothing that is trusted changes, because it ends or is wrong by itself, or all are issued again.
	Worn bool
	// Ours: the new certificate is of the same CA: the CA signed the present one and its CA file contains it, or it is foreign.
	Ours bool
	// Foreign: another PKI issues it on purpose. Only its owner can issue it again, and the CA does not sign the new one either.
	Foreign bool
}

// Restarts reports whether clustermesh-apiserver must restart.
func (r *Renewal) Restarts() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Kind == ActRestart })
}

// Restart adds the restart of clustermesh-apiserver, unless there is one.
func (r *Renewal) Restart(why string) {
	if r.Restarts() {
		return
	}
	n := &steps{state: r.State, out: r.Steps}
	n.do(Action{Kind: ActRestart}, why, nil, r.State.restart())
	r.Steps = n.out
}

// Which says which leaf certificates reissue issues again.
type Which struct {
	All bool
	// Soon is how much life a certificate must have left that is not issued again; it is not used with All.
	Soon time.Duration
}

// Renewals plans to issue leaf certificates of the targets again, each by the CA of its own cluster: those that status calls stale or that expire soon, or
// all. Those of another PKI that are not usable are issued again where they come from. states are all clusters that were read: whether a PKI of one's own
// works depends on the others too.
func Renewals(members []*clusters.Member, states, targets []*State, which Which, now time.Time) ([]*Renewal, error) {
	x := newExamination(members, states, Judgement{Now: now, Warn: which.Soon})
	var out []*Renewal
	for _, s := range targets {
		secret := s.CA()
		if secret.Object == nil {
			why := secret.Unreadable
			if why == "" {
				why = "it does not exist; every leaf certificate needs a CA"
			}
			return nil, fmt.Errorf("cluster %q: secret %s/%s: %s", s.Member.Name, s.Namespace, pki.SecretCA, why)
		}
		ca, err := pki.ParseCA(secret.Object.Data)
		if err != nil {
			return nil, fmt.Errorf("cluster %q: secret %s/%s: %w", s.Member.Name, s.Namespace, pki.SecretCA, err)
		}
		leaves := x.due(s, ca.Signer())
		if which.All {
			leaves = s.allLeaves(ca.Signer())
		}
		out = append(out, s.renewal(secret.Object.Data, ca.Signer(), leaves, now))
	}
	return out, nil
}

// allLeaves lists all leaf certificates of a cluster.
func (s *State) allLeaves(signer *x509.Certificate) []stale {
	out := s.staleCertificates(signer)
	for _, spec := range pki.LeafSpecs() {
		secret := s.Secrets[spec.Secret].Object
		if secret == nil || slices.ContainsFunc(out, func(l stale) bool { return l.spec.Secret == spec.Secret }) {
			continue
		}
		out = append(out, stale{spec: spec, owner: pki.FindOwner(secret.ObjectMeta), worn: true})
	}
	return out
}

func (s *State) renewal(data map[string][]byte, signer *x509.Certificate, leaves []stale, now time.Time) *Renewal {
	r := &Renewal{State: s, Steps: s.renew(signer, leaves, now), data: data, signer: signer}
	for _, l := range leaves {
		d := DueLeaf{Secret: l.spec.Secret, Owner: l.owner, Worn: l.worn, Ours: l.ours(), Foreign: l.foreign}
		if leaf, err := pki.ParseLeaf(s.dataOf(l.spec.Secret)); err == nil {
			d.Fingerprint = pki.Fingerprint(leaf.Cert())
		}
		r.Leaves = append(r.Leaves, d)
	}
	return r
}

// Renewals plans to issue the leaf certificates of the source and of every target of a sync again that the copied CA did not sign.
func (p *Plan) Renewals() []*Renewal {
	var states []*State
	if p.From != nil {
		states = append(states, p.From)
	}
	for _, i := range p.Items {
		if i.Result != v1alpha1.ResultFailed && i.Result != v1alpha1.ResultRefused && i.Result != v1alpha1.ResultUnknown {
			states = append(states, i.State)
		}
	}
	data := map[string][]byte{pki.KeyCACert: p.source.cert, pki.KeyCAKey: p.source.key}
	var out []*Renewal
	for _, s := range states {
		mine := data
		if s == p.From {
			mine = s.CA().Object.Data
		}
		out = append(out, s.renewal(mine, p.Signer, s.staleCertificates(p.Signer), p.Now))
	}
	return out
}

// Unfit says why the CA cannot be used by what issues the leaf certificates of the cluster, or nil. It signs a trial certificate for each.
func (r *Renewal) Unfit(now time.Time) error {
	if !r.usesCA() {
		return nil
	}
	byOwner := map[pki.OwnerKind][]*x509.Certificate{}
	for _, l := range r.Leaves {
		kind := r.issuedBy(l)
		if kind == "" {
			continue
		}
		leaf, err := pki.ParseLeaf(r.State.dataOf(l.Secret))
		switch {
		case err == nil:
			byOwner[kind] = append(byOwner[kind], leaf.Cert())
		case signedHere(l.Owner):
			return fmt.Errorf("the names of the certificate in secret %s are not known, because it cannot be parsed (%w): nobody but its author can issue it again", l.Secret, err)
		case byOwner[kind] == nil: // its owner knows the names
			byOwner[kind] = []*x509.Certificate{}
		}
	}
	for _, kind := range []pki.OwnerKind{pki.OwnerHelm, pki.OwnerCertgen, pki.OwnerMeshCA} {
		leaves, used := byOwner[kind]
		if !used {
			continue
		}
		if err := pki.Unreadable(kind, r.data); err != nil {
			return fmt.Errorf("%s cannot read the CA: %w", kind, err)
		}
		if err := pki.Trial(r.data, kind, leaves, now); err != nil {
			if pki.Constrained(r.signer) {
				err = fmt.Errorf("%w. Give the cluster a CA that permits them: kubectl mesh-ca sync copies the CA of another cluster", err)
			}
			return fmt.Errorf("%s cannot sign with the CA: %w", kind, err)
		}
		if kind == pki.OwnerCertgen {
			if err := r.refusedByCertgen(now); err != nil {
				return err
			}
		}
	}
	return r.undone()
}

// usesCA reports whether the CA signs a leaf certificate.
func (r *Renewal) usesCA() bool {
	return slices.ContainsFunc(r.Leaves, func(l DueLeaf) bool { return !l.Foreign })
}

// issuedBy says by whose rules a leaf certificate is issued: those of Helm also where Argo CD or Flux render Cilium's chart. Empty: by an issuer that does
// not use cilium-ca.
func (r *Renewal) issuedBy(l DueLeaf) pki.OwnerKind {
	if l.Foreign {
		return ""
	}
	switch l.Owner.Kind {
	case pki.OwnerHelm, pki.OwnerFlux, pki.OwnerArgoCD:
		return pki.OwnerHelm
	case pki.OwnerCertgen:
		return pki.OwnerCertgen
	}
	if signedHere(l.Owner) {
		return pki.OwnerMeshCA
	}
	return ""
}

// signedHere reports whether mesh-ca issues the certificates of an owner itself: nobody else does.
func signedHere(o pki.Owner) bool {
	return slices.Contains([]pki.OwnerKind{pki.OwnerHand, pki.OwnerUnknown, pki.OwnerMeshCA, ""}, o.Kind)
}

// refusedByCertgen: from chart 1.20 on, certgen does not sign with a CA that ends before its leaf certificates.
func (r *Renewal) refusedByCertgen(now time.Time) error {
	ca, err := pki.ParseCA(r.data)
	if err != nil {
		return err
	}
	for _, config := range r.State.certgen() {
		if from, refuses := config.Refuses(ca.Chain); refuses && !now.Before(from) {
			return fmt.Errorf("certgen has refused this CA since %s, because it ends before the leaf certificates would (chart 1.20 and later). Replace the CA: kubectl mesh-ca rotate", from.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// undone: the next upgrade would replace the CA by the one in the values, and sign with that.
func (r *Renewal) undone() error {
	ca, err := pki.ParseCA(r.data)
	if err != nil {
		return err
	}
	if why := r.State.undoes(r.data[ca.Layout.Cert]); why != "" && r.State.Values.SetsCA {
		return errors.New(why + ", and from the file that it is installed from, then run this command again")
	}
	return nil
}

// Sign issues a leaf certificate again that nobody else issues, and returns what its Secret gets: the same names, usages, type of key and validity, and the CA
// file that the owner of cilium-ca would write. What makes other clusters trust the certificate, or be trusted, may be in this Secret alone, and is kept: the
// cross certificates and issuers of the signer that are sent with the certificate, and the CAs in the CA file that are not replaced. The result holds a private
// key.
func (r *Renewal) Sign(secret string, now time.Time) (map[string][]byte, error) {
	previous, err := pki.ParseLeaf(r.State.Secrets[secret].Object.Data)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", secret, err)
	}
	signer, err := pki.ParseSigner(r.data)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", pki.SecretCA, err)
	}
	made, err := signer.Reissue(previous.Cert(), now)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", secret, err)
	}
	ca, err := pki.ParseCA(r.data)
	if err != nil {
		return nil, err
	}
	trust, appended := pki.Issues(r.State.authorityOwner(), ca.Chain)
	sent := append([]*x509.Certificate{made.Cert}, appended...)
	for _, cert := range pki.Above(signer.Cert, previous.Chain[1:]) {
		if !slices.ContainsFunc(sent, cert.Equal) {
			sent = append(sent, cert)
		}
	}
	trust = append(slices.Clone(trust), r.stillTrusted(previous, trust)...)
	out := map[string][]byte{pki.KeyTLSCert: pki.EncodeCertificates(sent...), pki.KeyTLSKey: made.KeyPEM()}
	// A CA file that is right is not written: the time of its last write tells whether etcd has read it.
	if !pki.SameCertificates(previous.Trust, trust) {
		out[pki.KeyCACert] = pki.EncodeCertificates(trust...)
	}
	return out, nil
}

// stillTrusted returns the CAs in the CA file of a leaf Secret that stay in it, in addition to those that its certificate is issued with. The CA that signed the
// previous certificate does not, if another one signs now. It does if the present CA verifies the previous certificate too, as in a federation: other
// clusters use it.
func (r *Renewal) stillTrusted(previous pki.Leaf, trust []*x509.Certificate) []*x509.Certificate {
	signed := func(relation pki.Relation) func(*x509.Certificate) bool {
		return func(c *x509.Certificate) bool { return previous.Relation(c) == relation }
	}
	replaced := signed(pki.Direct)
	switch {
	case previous.Relation(r.signer) == pki.Direct, previous.SignedBy(r.signer) && pki.Trusts(previous.Trust, r.signer):
		replaced = func(*x509.Certificate) bool { return false }
	case !previous.SignedBy(r.signer) && !slices.ContainsFunc(previous.Trust, replaced):
		replaced = signed(pki.Cross) // an intermediate CA signed it, which is sent with it
	}
	return slices.DeleteFunc(slices.Clone(previous.Trust), func(c *x509.Certificate) bool {
		return replaced(c) || slices.ContainsFunc(trust, func(t *x509.Certificate) bool { return pki.SameAuthority(t, c) })
	})
}

// Replaces reports whether another CA than before issues leaf certificates of the cluster, so that who trusts whom changes on purpose.
func (r *Renewal) Replaces() bool {
	return slices.ContainsFunc(r.Leaves, func(l DueLeaf) bool { return !l.Ours })
}

// Reissued says whether a leaf certificate has been issued again in a cluster that was read since, and why not. It fails if waiting will not help.
func (r *Renewal) Reissued(now *State, l DueLeaf) (waiting string, err error) {
	secret := now.Secrets[l.Secret]
	if secret.Object == nil {
		return "secret " + l.Secret + " does not exist", nil
	}
	leaf, err := pki.ParseLeaf(secret.Object.Data)
	if err != nil {
		return "secret " + l.Secret + ": " + err.Error(), nil //nolint:nilerr // it may be in the middle of a change
	}
	changed := pki.Fingerprint(leaf.Cert()) != l.Fingerprint
	fits := l.Foreign || leaf.SignedBy(r.signer) && pki.Trusts(leaf.Trust, r.signer) && now.outlasts(leaf.Trust, r.State.fileOwner(l.Owner), r.signer)
	switch {
	case changed && !fits && l.Owner.Kind == pki.OwnerCertManager:
		return "", fmt.Errorf("cluster %q: cert-manager issued the certificate in secret %s again, but not with the CA in secret %s: give that CA to its issuer (certManagerIssuerRef in Cilium's values), then run this command again",
			r.State.Member.Name, l.Secret, pki.SecretCA)
	case !fits:
		return "the certificate in secret " + l.Secret + " is not from the CA yet", nil
	case !changed && l.Worn:
		return "the certificate in secret " + l.Secret + " has not been issued again yet", nil
	}
	return "", nil
}

// FingerprintOf returns the fingerprint of the leaf certificate in the data of a Secret, "" if it cannot be parsed.
func FingerprintOf(data map[string][]byte) string {
	leaf, err := pki.ParseLeaf(data)
	if err != nil {
		return ""
	}
	return pki.Fingerprint(leaf.Cert())
}

// AgentsAfter returns the step that makes the agents of a cluster use the CA that etcd uses after the steps.
func (s *State) AgentsAfter(steps []Step) []v1alpha1.NextStep { return s.agentsAfter(plain(steps)) }

// Kubectl returns a kubectl command for Cilium's namespace in the cluster.
func (s *State) Kubectl(words ...string) string { return s.kubectl(words...) }
