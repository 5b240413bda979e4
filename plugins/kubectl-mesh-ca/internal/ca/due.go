package ca

import (
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

const day = 24 * time.Hour

// dates fills in from when the CA of a cluster is due, and from when certgen refuses it.
func (x examination) dates(s *State, a *v1alpha1.Authority) {
	if from, refuses := s.certgenRefuses(); refuses {
		a.CertgenRefusesFrom, a.DueFrom = &from, &from
		return
	}
	if from, ok := s.Renewal(pki.SecretCA, a.NotBefore, a.NotAfter); ok { // cert-manager writes another CA then
		a.DueFrom = &from
		return
	}
	asked := s.asked()
	if asked == 0 || asked >= a.NotAfter.Sub(a.NotBefore) {
		return // a CA that never lived longer than its leaf certificates has no such date
	}
	from := a.NotAfter.Add(-asked)
	a.DueFrom = &from
}

// asked returns for how long the next leaf certificates will be valid that are signed by cilium-ca; 0 if that is not known, or if another issuer
// signs them. It is what the values of the Helm release or the configuration of certgen say, else what the present ones were given.
func (s *State) asked() time.Duration {
	longest := time.Duration(0)
	for _, spec := range pki.LeafSpecs() {
		secret := s.Secrets[spec.Secret].Object
		if secret == nil {
			continue
		}
		leaf, err := pki.ParseLeaf(secret.Data)
		kind := pki.FindOwner(secret.ObjectMeta).Kind
		if issued, ok := s.Issuances[spec.Secret]; ok && err == nil && issued.Note == "" && s.signedByCA(leaf) {
			longest = max(longest, issued.Duration)
			continue
		}
		if err != nil || (kind != pki.OwnerHelm && kind != pki.OwnerCertgen) {
			continue
		}
		if days := s.Values.Validity[spec.Family]; days > 0 {
			longest = max(longest, time.Duration(days)*day)
		} else {
			longest = max(longest, leaf.Cert().NotAfter.Sub(leaf.Cert().NotBefore))
		}
	}
	return longest
}

// signedByCA reports whether cilium-ca signed a leaf certificate.
func (s *State) signedByCA(leaf pki.Leaf) bool {
	ca := s.Authority()
	return len(ca.Chain) > 0 && leaf.SignedBy(ca.Signer())
}

// certgenRefuses returns the time from which certgen no longer signs with the CA.
func (s *State) certgenRefuses() (time.Time, bool) {
	ca := s.Authority()
	if len(ca.Chain) == 0 {
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
const minorEnforce = pki.MinorOneYear

// The kinds of certificates that check lists.
const (
	KindCA   = "ca"
	KindLeaf = "leaf"
	KindCopy = "copy" // of a peer's certificate
)

// RenewedBy says in a few words what renews a certificate before it expires. Nothing renews a CA but cert-manager and what keeps it from elsewhere:
// neither Helm nor certgen do.
func (s *State) RenewedBy(kind, name string, owner *v1alpha1.Owner) string {
	const nothing = "nothing"
	secret, _, _ := strings.Cut(strings.TrimPrefix(name, "secret/"), "[") // a CA file is named as secret/NAME[KEY]
	if owner == nil {
		return nothing
	}
	by := owner.Kind
	if owner.Name != "" {
		by += "/" + owner.Name
	}
	switch pki.OwnerKind(owner.Kind) {
	case pki.OwnerHand, pki.OwnerMeshCA, pki.OwnerUnknown, "":
		return nothing
	case pki.OwnerHelm:
		if kind == KindCA {
			return nothing
		}
		return "the next Helm upgrade"
	case pki.OwnerCertgen:
		job := cronJobMesh
		for _, spec := range pki.LeafSpecs() {
			if spec.Secret == secret && spec.Family == pki.FamilyHubble {
				job = cronJobHubble
			}
		}
		switch {
		case kind == KindCA:
			return nothing
		case slices.Contains(s.CronJobs, job):
			return "certgen, by CronJob " + job
		}
		return "certgen, when Helm runs it again"
	}
	return by
}
