package ca_test

import (
	"crypto/x509"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// TestForeignRenewals: a leaf certificate of another PKI that is not usable is issued again where it comes from, and never signed with cilium-ca.
func TestForeignRenewals(t *testing.T) {
	t.Parallel()
	one, two, other := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	bad := map[string]pkitest.Spec{
		"expired":      {Name: "remote", NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-time.Hour)},
		"wrong usages": {Name: "remote", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
	}
	for method, want := range map[string]ca.ActionKind{"hand": "", "mesh-ca": "", "argocd": "", "cert-manager": ca.ActRenew} {
		for what, spec := range bad {
			t.Run(method+" "+what, func(t *testing.T) {
				t.Parallel()
				own := map[string]string{"mesh-ca": "hand", "argocd": "hand"}[method]
				if own == "" {
					own = method
				}
				install := func(authority *pkitest.CA, edit func(map[string]*corev1.Secret)) catest.Install {
					return catest.Install{CA: authority, LeafCA: &other, Method: own, CAOwner: "helm", Edit: func(s map[string]*corev1.Secret) {
						for _, spec := range pki.LeafSpecs() {
							switch secret := s[spec.Secret]; {
							case secret == nil:
							case method == "mesh-ca":
								secret.ManagedFields[0].Manager = pki.FieldManager
							case method == "argocd":
								secret.Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "pki:/Secret:kube-system/" + spec.Secret}
							}
						}
						edit(s)
					}}
				}
				sign := func(spec pkitest.Spec) func(map[string]*corev1.Secret) {
					return func(s map[string]*corev1.Secret) {
						s[pki.SecretRemote].Data = pkitest.LeafSecret(other.Issue(t, spec), other.CertPEM)
					}
				}
				mesh := func(spec pkitest.Spec) installs {
					return pair(install(&one, sign(pkitest.Spec{Name: "remote"})), install(&two, sign(spec)))
				}
				members, states := mesh(spec).read(t)
				got, err := ca.Renewals(members, states, states[1:], ca.Which{Soon: 60 * pkitest.Day}, pkitest.Now)
				if err != nil {
					t.Fatal(err)
				}
				r := got[0]
				if len(r.Leaves) != 1 || r.Leaves[0].Secret != pki.SecretRemote || len(r.Steps) != 1 || r.Steps[0].Kind != want || r.Replaces() || r.Restarts() || r.Unfit(pkitest.Now) != nil {
					t.Fatalf("%+v, %+v, %v", r.Leaves, r.Steps, r.Unfit(pkitest.Now))
				}
				if method != "cert-manager" && string(r.Leaves[0].Owner.Kind) != method {
					t.Errorf("owner %+v", r.Leaves[0].Owner)
				}
				if why, err := r.Reissued(states[1], r.Leaves[0]); why == "" || err != nil {
					t.Errorf("before: %q, %v", why, err)
				}
				_, states = mesh(pkitest.Spec{Name: "remote"}).read(t)
				if why, err := r.Reissued(states[1], r.Leaves[0]); why != "" || err != nil {
					t.Errorf("after: %q, %v", why, err)
				}
			})
		}
	}
}

// TestMissingFiles: a file that is missing, or that cannot be parsed, tells nothing about a CA. Leaf certificates of another PKI stay, also in the other clusters.
func TestMissingFiles(t *testing.T) {
	t.Parallel()
	one, two, three, other := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{Name: "Root"})
	all := slices.Sorted(maps.Keys(other.LeafSecrets(t, "eu")))
	type secrets = map[string]*corev1.Secret
	without := func(name, key string) func(secrets) { return func(s secrets) { delete(s[name].Data, key) } }
	for name, c := range map[string]struct {
		edit func(secrets)
		want []string // is issued again in eu
		own  bool     // cilium-ca is of the PKI
	}{
		"nothing":                                         {edit: func(secrets) {}},
		"the Secret of clients":                           {edit: func(s secrets) { delete(s, pki.SecretRemote) }},
		"the Secret of the server":                        {edit: func(s secrets) { delete(s, pki.SecretServer) }},
		"a CA file":                                       {edit: without(pki.SecretServer, pki.KeyCACert), want: []string{pki.SecretServer}},
		"a certificate":                                   {edit: without(pki.SecretRemote, pki.KeyTLSCert), want: []string{pki.SecretRemote}},
		"a certificate inside":                            {edit: without(pki.SecretAdmin, pki.KeyTLSCert), want: []string{pki.SecretAdmin}},
		"a certificate that is damaged":                   {edit: func(s secrets) { s[pki.SecretServer].Data[pki.KeyTLSCert] = []byte("x") }, want: []string{pki.SecretServer}},
		"a CA file that is damaged":                       {edit: func(s secrets) { s[pki.SecretRemote].Data[pki.KeyCACert] = []byte("x") }, want: []string{pki.SecretRemote}},
		"the private key of a leaf":                       {edit: without(pki.SecretServer, pki.KeyTLSKey), want: []string{pki.SecretServer}},
		"a CA file, and cilium-ca signed the certificate": {own: true, edit: without(pki.SecretServer, pki.KeyCACert), want: []string{pki.SecretServer}},
		"a certificate of another PKI":                    {edit: func(s secrets) { s[pki.SecretRemote].Data = three.LeafSecrets(t, "eu")[pki.SecretRemote] }, want: all},
		"a CA file that lacks the others":                 {edit: func(s secrets) { s[pki.SecretServer].Data[pki.KeyCACert] = three.CertPEM }, want: all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			install := func(authority *pkitest.CA, edit func(secrets)) catest.Install {
				if c.own {
					authority = &other
				}
				return catest.Install{CA: authority, LeafCA: &other, Method: "hand", CAOwner: "helm", Edit: edit}
			}
			mesh := installs{{"us", install(&one, nil)}, {"eu", install(&two, c.edit)}, {"ap", install(&three, nil)}}
			members, states := mesh.read(t)
			got, err := ca.Renewals(members, states, states, ca.Which{Soon: 60 * pkitest.Day}, pkitest.Now)
			if err != nil {
				t.Fatal(err)
			}
			for n, r := range got {
				var leaves []string
				for _, l := range r.Leaves {
					leaves = append(leaves, l.Secret)
					if l.Foreign == c.own && len(c.want) == 1 {
						t.Errorf("%s: foreign %v", l.Secret, l.Foreign)
					}
				}
				slices.Sort(leaves)
				want := c.want
				if states[n].Member.Name != "eu" && len(want) == 1 {
					want = nil
				}
				if !slices.Equal(leaves, want) {
					t.Errorf("%s: %v, want %v", states[n].Member.Name, leaves, want)
				}
			}
		})
	}
}
