package ca

import (
	"crypto/x509"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// CronJobs of certgen, from the charts 1.15 to 1.20. The one for the mesh exists only if a schedule is set, which is not the default before 1.20.
const (
	cronJobMesh   = "clustermesh-apiserver-generate-certs"
	cronJobHubble = "hubble-generate-certs"

	containerCertgen = "certgen"
)

// State is everything that was read from one cluster. It contains private keys and is never printed.
type State struct {
	Member    *clusters.Member
	Namespace string // Cilium's
	// Secrets are cilium-ca and the leaf certificates by name, as they were read.
	Secrets map[string]Secret
	// OldCAs are Secrets under names that old charts used, which may contain a CA; they are read only if cilium-ca does not exist.
	OldCAs []*corev1.Secret
	Side   pki.Side
	// CronJobs are the existing CronJobs of certgen. Certgen is their configuration, and CertgenNote says why one of them is missing in it.
	CronJobs    []string
	Certgen     []pki.Certgen
	CertgenNote string
	// Written is when each key of each object was last written, according to managedFields.
	Written map[pki.Source]Written
	// EtcdStarted is when the longest-running etcd of clustermesh-apiserver started; zero if unknown.
	EtcdStarted time.Time
	// Release is the Helm release that installed Cilium, according to the DaemonSet or the Deployment, and Chart is its chart.
	Release Release
	Chart   owners.Chart
	// Values are the release's values for the CA. Only ReadReleases and ReadKept read them.
	Values Values
	// Deleted are the owners of leaf Secrets that are missing and that a command of mesh-ca deleted earlier, so that Helm recreates them. DeletedNote says why
	// that is unknown. ReadReleases and ReadKept read them.
	Deleted     map[string]pki.Owner
	DeletedNote string
	// Rotating: a rotation of the CA is under way. Kept are the CAs whose certificates or keys are kept outside of cilium-ca and the leaf Secrets, and
	// KeptNote says what could not be searched. Only ReadKept reads these.
	Rotating bool
	// Issuances says what cert-manager will do, by Secret. IssuancesNote says why all of that is unknown. Only ReadIssuances sets them; before, Issuances is nil.
	Issuances     map[string]Issuance
	IssuancesNote string
	Kept          []Kept
	KeptNote      string
}

// Kept is a CA that is kept somewhere beside cilium-ca: in a backup, or in the values of a revision of the Helm release.
type Kept struct {
	Cert  *x509.Certificate
	Where string // secret/NAME or "revision 3 of release cilium"
	Key   bool   // its private key is there too
}

// Written is when a key was written. Alone: its manager owns no other key of the object, so the time belongs to this key.
type Written struct {
	At    time.Time
	Alone bool
}

// Secret is a Secret, or the reason why there is none.
type Secret struct {
	Object     *corev1.Secret
	Unreadable string // for example, no permission; if it is empty and Object is nil, the Secret does not exist
}

// Release names a Helm release.
type Release struct{ Name, Namespace string }

// Known reports whether there is a release.
func (r Release) Known() bool { return r.Name != "" }

// LeafCertificates returns the leaf certificates by Secret, without those that do not exist or do not parse.
func (s *State) LeafCertificates() map[string]pki.Leaf {
	out := map[string]pki.Leaf{}
	for _, spec := range pki.LeafSpecs() {
		if secret := s.Secrets[spec.Secret].Object; secret != nil {
			if leaf, err := pki.ParseLeaf(secret.Data); err == nil {
				out[spec.Secret] = leaf
			}
		}
	}
	return out
}

// dataOf returns the data of a Secret, nil if it does not exist.
func (s *State) dataOf(secret string) map[string][]byte {
	if obj := s.Secrets[secret].Object; obj != nil {
		return obj.Data
	}
	return nil
}

// CA returns Secret cilium-ca.
func (s *State) CA() Secret { return s.Secrets[pki.SecretCA] }

// Authority returns the CA in Secret cilium-ca, without certificates if there is none that can be parsed.
func (s *State) Authority() pki.CA {
	ca, err := pki.ParseCA(s.dataOf(pki.SecretCA))
	if err != nil {
		return pki.CA{}
	}
	return ca
}
